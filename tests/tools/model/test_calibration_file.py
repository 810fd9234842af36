"""Calibration data from a file: what is taken, how it is cut into batches, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.model.calibration_file import Slot, file_batches

IMAGES = np.arange(2 * 10, dtype=np.float32).reshape(10, 2)
OPEN = Slot("x", "f32", ("batch", 2))


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, x=IMAGES)
    return path


def sizes(path: Path, *slots: Slot, usual: int | None = None) -> list[int]:
    return [len(batch[0]) for batch in file_batches(path, slots, usual)()]


def test_every_sample_is_given_once(npz: Path) -> None:
    batches = file_batches(npz, [OPEN], 4)
    assert [len(x) for (x,) in batches()] == [4, 4, 2]
    assert np.array_equal(np.concatenate([x for (x,) in batches()]), IMAGES)


def test_a_fixed_batch_leaves_out_what_does_not_fill_one(npz: Path) -> None:
    assert sizes(npz, Slot("x", "f32", (3, 2)), usual=8) == [3, 3, 3]


def test_a_fixed_batch_that_is_never_filled_is_an_error(npz: Path) -> None:
    with pytest.raises(SparqcError, match="holds 10 samples; the model takes 16 at a time"):
        file_batches(npz, [Slot("x", "f32", (16, 2))])


@pytest.mark.parametrize("name", ["data.npy", "data.npz", "data.safetensors"])
def test_one_array_needs_no_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, IMAGES)
    elif path.suffix == ".npz":
        np.savez(path, IMAGES)
    else:
        save_file({"images": IMAGES}, path)
    assert sizes(path, OPEN, usual=5) == [5, 5]


def test_arrays_go_to_the_inputs_of_their_names(tmp_path: Path) -> None:
    tokens = np.ones((10, 3), np.int64)
    np.savez(tmp_path / "data.npz", tokens=tokens, x=IMAGES)
    slots = [OPEN, Slot("tokens", "i64", ("batch", 3))]
    x, t = next(file_batches(tmp_path / "data.npz", slots)())
    assert x.dtype == np.float32 and t.dtype == np.int64


def test_float64_is_taken_as_float32(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", IMAGES.astype(np.float64))
    ((x,), *_) = file_batches(tmp_path / "data.npy", [OPEN])()
    assert x.dtype == np.float32


def test_integers_are_not_taken_as_floats(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", IMAGES.astype(np.uint8))
    with pytest.raises(SparqcError, match="holds u8, not f32") as caught:
        file_batches(tmp_path / "data.npy", [OPEN])
    assert "normalized" in caught.value.hint


def test_a_wrong_name_is_told_apart(npz: Path) -> None:
    slots = [Slot("y", "f32", ("batch", 2)), OPEN]
    with pytest.raises(SparqcError, match=r"no array for the input 'y' \(f32\[batch, 2\]\)"):
        file_batches(npz, slots)


def test_a_wrong_shape_is_told(npz: Path) -> None:
    with pytest.raises(SparqcError, match=r"has the shape \[10, 2\]"):
        file_batches(npz, [Slot("x", "f32", ("batch", 3))])


def test_a_number_is_no_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.float32(1))
    with pytest.raises(SparqcError, match=r"has the shape \[\]"):
        file_batches(tmp_path / "data.npy", [Slot("x")])


def test_different_numbers_of_samples_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", a=IMAGES, b=IMAGES[:3])
    slots = [Slot("a", "f32", ("batch", 2)), Slot("b", "f32", ("batch", 2))]
    with pytest.raises(SparqcError, match="a: 10, b: 3"):
        file_batches(tmp_path / "data.npz", slots)


def test_an_empty_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", IMAGES[:0])
    with pytest.raises(SparqcError, match="holds 0 samples"):
        file_batches(tmp_path / "data.npy", [OPEN])


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.array([{"run": "me"}], dtype=object), allow_pickle=True)
    with pytest.raises(SparqcError, match="pickled objects"):
        file_batches(tmp_path / "data.npy", [OPEN])


@pytest.mark.parametrize("ending", [".npz", ".npy", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 7, 60, 150])
def test_a_file_that_is_cut_short_is_an_error(tmp_path: Path, ending: str, keep: int) -> None:
    path = tmp_path / f"data{ending}"
    if ending == ".safetensors":
        save_file({"x": IMAGES}, path)
    else:
        (np.savez if ending == ".npz" else np.save)(path, IMAGES)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SparqcError, match="cannot be read"):
        file_batches(path, [OPEN])


def test_an_unknown_ending_and_a_missing_file_are_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.pkl is not known"):
        file_batches(tmp_path / "data.pkl", [OPEN])
    with pytest.raises(UsageError, match="no such file"):
        file_batches(tmp_path / "data.npz", [OPEN])
