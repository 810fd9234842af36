"""The FX level: exported torch.fx graph modules in and out, inferred, folded and run."""
