"""From the text of a pattern file, or a decorated Python function, to declarations."""
