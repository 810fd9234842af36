"""Directories that `--dump` wrote: read, compared, asked, and run again."""
