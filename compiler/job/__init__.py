"""One compile from its wishes to its result: read the model, run the passes, verify it."""
