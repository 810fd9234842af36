"""Write the calibration images of the Fashion-MNIST example as arrays for an ONNX model."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "fashion_mnist"))
from model import calibration


def main(path: str) -> None:
    """One array for each graph input, the samples along the first axis: x is [384, 1, 28, 28]."""
    images = np.concatenate([x.numpy() for (x,) in calibration()])
    np.savez(path, x=images)
    print(f"{path}: x {images.shape}")


if __name__ == "__main__":
    main(sys.argv[1])
