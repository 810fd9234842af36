"""`sparqc natives`: the Python functions that pattern files call."""
