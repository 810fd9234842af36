"""What is wrong in an ONNX model that onnx's checker passes."""
