"""From a graph of the FX level to one of the ONNX level."""
