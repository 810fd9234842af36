"""Which version of sparqc this is."""

import importlib.metadata

__version__ = importlib.metadata.version("sparqc")
