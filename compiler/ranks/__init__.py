"""Several processes that share one compile or one training run."""
