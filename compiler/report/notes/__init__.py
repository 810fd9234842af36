"""Sentences of the report on what single passes did, read off the facts that they left."""
