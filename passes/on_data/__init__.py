"""The network run on calibration data: batches, and what is measured of values on the way."""
