"""Pattern files written in one form."""
