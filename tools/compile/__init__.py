"""`sparqc compile`: the command, and the dump of a run."""
