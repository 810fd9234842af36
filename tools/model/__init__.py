"""The model and the data that a person names, as files, modules and functions."""
