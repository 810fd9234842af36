"""What pattern packages declare beside their rules: natives, knobs and target profiles."""
