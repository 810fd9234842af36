"""The ONNX level: files and models in and out, inferred, ordered and run."""
