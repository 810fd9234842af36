"""From a PyTorch module to a graph of the FX level, by torch.export."""
