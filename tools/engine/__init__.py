"""`sparqc build`: an engine from an ONNX file, and what it shows."""
