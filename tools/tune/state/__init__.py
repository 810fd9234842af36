"""Where a training run is, kept in checkpoints."""
