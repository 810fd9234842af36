"""FP16 for what is not INT8."""
