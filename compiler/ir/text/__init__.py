"""A graph as text, which parses back."""
