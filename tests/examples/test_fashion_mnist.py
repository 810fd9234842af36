"""The shipped network: its files, what model.py promises of it, and the parts of its training."""

import gzip
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

Load = Callable[[str], ModuleType]


@pytest.fixture
def example(load: Load) -> ModuleType:
    return load("fashion_mnist/model.py")


@pytest.fixture
def training(load: Load) -> ModuleType:
    return load("fashion_mnist/train.py")


def test_the_files_stay_small(example: ModuleType) -> None:
    assert example.WEIGHTS.stat().st_size < 2_000_000
    assert example.IMAGES.stat().st_size < 1_000_000


def test_the_network_is_ready_for_inference(example: ModuleType) -> None:
    net = example.model()
    assert not any(module.training for module in net.modules())
    assert net(*example.example_inputs()).shape == (8, 10)


def test_two_loads_give_the_same_network(example: ModuleType) -> None:
    inputs = example.example_inputs()
    assert torch.equal(example.model()(*inputs), example.model()(*inputs))


def test_the_channels_suit_int8_and_sparse_kernels(example: ModuleType) -> None:
    inner = [layer for layer in example.model().stages.modules() if isinstance(layer, nn.Conv2d)]
    assert inner
    assert all(layer.in_channels % 16 == layer.out_channels % 16 == 0 for layer in inner)


def test_the_network_was_really_trained(example: ModuleType) -> None:
    with torch.no_grad():
        assert example.evaluate(example.model())["top-1"] > 91.5


def test_evaluate_counts_right_answers(example: ModuleType) -> None:
    def always_class_3(x: Tensor) -> Tensor:
        return nn.functional.one_hot(torch.full((len(x),), 3), 10)

    result = example.evaluate(always_class_3)
    labels = example.load_file(example.IMAGES)["test_labels"]
    assert result == {"top-1": pytest.approx(100 * (labels == 3).float().mean().item())}


def test_calibration_can_be_read_again(example: ModuleType) -> None:
    first, second = list(example.calibration()), list(example.calibration())
    assert all(torch.equal(a, b) for (a,), (b,) in zip(first, second, strict=True))
    assert sum(len(images) for (images,) in first) == 384


def test_calibration_never_sees_a_test_image(example: ModuleType) -> None:
    images = example.load_file(example.IMAGES)
    seen = {image.numpy().tobytes() for image in images["calibration_images"]}
    assert not any(image.numpy().tobytes() in seen for image in images["test_images"])


def test_normalized_pixels_have_mean_zero_and_deviation_one(example: ModuleType) -> None:
    x = torch.cat([images for (images,) in example.calibration()])
    assert x.dtype == torch.float32
    assert abs(x.mean().item()) < 0.05 and abs(x.std().item() - 1) < 0.05


def idx(values: Tensor) -> bytes:
    """An IDX file, as the data set's format has it."""
    dimensions = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return b"\0\0\x08" + bytes([values.ndim]) + dimensions + values.numpy().tobytes()


def test_idx_files_are_read(training: ModuleType, tmp_path: Path) -> None:
    pixels = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4)
    (tmp_path / "pixels.gz").write_bytes(gzip.compress(idx(pixels)))
    assert torch.equal(training.read_idx(tmp_path / "pixels.gz"), pixels)


def test_another_file_is_refused(training: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"not an IDX file"))
    with pytest.raises(SystemExit, match=r"text\.gz is not an IDX file"):
        training.read_idx(tmp_path / "text.gz")


def test_augmented_images_are_shifted_and_mirrored(training: ModuleType) -> None:
    pixels = torch.randint(0, 256, (1, 28, 28), dtype=torch.uint8)
    padded = nn.functional.pad(pixels, (2, 2, 2, 2))
    windows = padded.unfold(1, 28, 1).unfold(2, 28, 1).reshape(25, 28, 28)
    allowed = {view.numpy().tobytes() for window in windows for view in (window, window.flip(1))}
    seen = {view.numpy().tobytes() for view in training.augment(pixels.expand(500, 28, 28))}
    assert seen <= allowed
    assert len(seen) > 40
