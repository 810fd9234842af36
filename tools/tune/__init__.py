"""`sparqc tune`: training a sparse, quantized network, on one process or many."""
