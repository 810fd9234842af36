"""Factors per channel moved between layers, so that one scale serves all channels."""
