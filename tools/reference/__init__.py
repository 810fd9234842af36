"""`sparqc ops` and `natives`: the words that pattern files are written in, and their pages."""
