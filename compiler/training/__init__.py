"""Networks that train with masks and fake quantizers inside; see docs/training.md."""
