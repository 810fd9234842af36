"""`sparqc check`: findings in any ONNX file, and their cures."""
