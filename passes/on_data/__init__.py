"""The network run on calibration data: batches, and what is measured of values on the way."""

#: No pass and no native stands here: nothing need be imported to know them.
__registers__ = ()
