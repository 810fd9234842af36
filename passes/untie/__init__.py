"""Scales of their own for what a Concat ties to louder branches."""
