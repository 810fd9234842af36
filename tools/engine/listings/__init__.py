"""Listings of the kernels of real engines, and their times, in every form in which they come."""
