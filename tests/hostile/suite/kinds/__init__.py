"""The files, by what they are read as."""
