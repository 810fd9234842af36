"""The mean error that quantization leaves at a layer's output, taken into its bias."""
