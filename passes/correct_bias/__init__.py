"""The mean error that quantization leaves at a layer's output, taken into its bias."""

#: The modules that register a pass; the others are imported when it runs.
__registers__ = ("correct_bias",)
