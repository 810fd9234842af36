"""Files that a compile is given beside its model: patterns, data, layers, listings, and words."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.suite.case import Case, Command, text_cases
from tests.hostile.suite.kinds.networks import conv

_NOISE = "--random-calibration"


def cases() -> Iterator[Case]:
    yield from text_cases("patterns", _patterns(), "mine.spq", _PATTERNS[:1])
    long = _RULE.replace("rule r", "rule " + "r" * 10**5)
    texts = {**_patterns(), "a name of 10^5 letters": long}
    yield from text_cases("formatting", texts, "mine.spq", _PATTERNS[1:], "allowed")
    yield from _with_model("calibration", _calibration(), _CALIBRATION)
    yield from _with_model("layers", _layers(), _LAYERS)
    yield from _with_model("listings", _listings(), _LISTING)
    yield from _with_model("witnesses", _witnesses(), _WITNESSES)
    yield from _words()
    yield from _places()


_PATTERNS: tuple[Command, ...] = (("rules", "check", "{file}"), ("rules", "fmt", "{file}"))
_CALIBRATION: tuple[Command, ...] = (
    ("compile", "model.onnx", "--passes", "int8", "--calibration", "{file}", "-o", "{out}"),
)
_LAYERS: tuple[Command, ...] = (
    ("compile", "model.onnx", "--layers", "{file}", _NOISE, "-o", "{out}"),
)
_ENGINE = ("explain", "model.onnx", "--engine", "{file}")
_LISTING: tuple[Command, ...] = (
    _ENGINE,
    (*_ENGINE, "--learn", "--gpu", "a40", "--built-with", "11.1", "-o", "{out}"),
)
_WITNESSES: tuple[Command, ...] = (
    ("witnesses", "--witnesses", "{file}"),
    ("explain", "model.onnx", "--witnesses", "{file}"),
)

_RULE = (
    'rule r on fx, onnx preserves exact:\n    "A sentence."\n    match:\n'
    "        y = nn.relu(nn.relu(x))\n    rewrite:\n        y = nn.relu(x)\n"
)


def _patterns() -> dict[str, str | bytes]:
    return {
        "binary": bytes(range(256)),
        "zeros": bytes(1000),
        "text": "this is no rule\n",
        "a rule without a body": "rule r on fx:\n",
        "a rule cut off": _RULE[:70],
        "a rule of an unknown operator": _RULE.replace("nn.relu", "nn.nothing"),
        "a rule twice": _RULE * 2,
        "a rule on a level of nobody": _RULE.replace("fx", "moon"),
        "a promise of nobody": _RULE.replace("exact", "perhaps"),
        "parentheses 10^5 deep": _RULE.replace("x))", "(" * 100_000),
        "calls 5,000 deep": _RULE.replace("(nn.relu(x))", "(nn.relu" * 5000 + "(x)" + ")" * 5000),
        "10^5 empty lines and a word": "\n" * 100_000 + "word",
        "tabs": _RULE.replace("    ", "\t") + "\tx",
        "a number of 10^5 digits": _RULE.replace("(x)\n", "(x, " + "9" * 100_000 + ")\n"),
        "a native of nobody": _RULE.replace("y = nn.relu(x)", "y = @evil(x)"),
        "a native with dots": _RULE.replace("y = nn.relu(x)", "y = @os.system(x)"),
        "an unbound name": _RULE.replace("y = nn.relu(x)\n", "y = nn.relu(z)\n"),
        "a string without an end": _RULE.replace('sentence."', "sentence."),
        "an escape of nobody": _RULE.replace("A sentence", "\\q \\u12"),
        "surrogates": _RULE.replace("A sentence", "\ud800"),
        "UTF-16": _RULE.encode("utf-16"),
    }


def _array(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _npy(array: Any, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickled)
    return stream.getvalue()


def _header(text: str) -> bytes:
    data = text.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(data)) + data


def _zip(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _tensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _calibration() -> dict[str, bytes]:
    good = np.ones((4, 4, 8, 8), np.float32)
    whole, one = _array(x=good), _npy(good)
    shape = {"dtype": "F32", "shape": [4, 4, 8, 8], "data_offsets": [0, good.nbytes]}
    return {
        "empty.npz": b"",
        "empty.npy": b"",
        "empty.safetensors": b"",
        "text.npz": b"hello",
        "half.npz": whole[: len(whole) // 2],
        "half.npy": one[: len(one) // 2],
        "zeros.npz": bytes(5000),
        "no arrays.npz": _zip({}),
        "another name.npz": _array(ghost=good, other=good),
        "another shape.npz": _array(x=good[:, :3]),
        "another rank.npz": _array(x=good[0, 0]),
        "a scalar.npz": _array(x=np.float32(1)),
        "no samples.npz": _array(x=good[:0]),
        "integers.npz": _array(x=good.astype(int)),
        "complex.npz": _array(x=good.astype(complex)),
        "text inside.npz": _array(x=np.array(["a"] * 4)),
        "pickled.npy": _npy(np.array([{}, []], object), True),
        "pickled.npz": _zip({"x.npy": _npy(np.array([{}, []], object), True)}),
        "records.npy": _npy(np.zeros(4, [("a", "f4"), ("b", "i8")])),
        "dates.npy": _npy(np.zeros(4, "M8[s]")),
        "NaN.npz": _array(x=good * np.nan),
        "infinity.npz": _array(x=good * np.inf),
        "a shape of 10^18.npy": _header(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (10**9, 10**9), }\n"
        ),
        "a shape of 2^62.npy": _header(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }\n"
        ),
        "a header that calls.npy": _header("__import__('os').system('true')\n"),
        "a header of 60,000.npy": _header("(" * 60_000),
        "a bomb.npz": _zip({"x.npy": _header(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 4, 8, 8), }\n"
        ) + bytes(10**8)}),
        "a header of 2^63.safetensors": struct.pack("<Q", 2**63 - 1) + b"{}",
        "no JSON.safetensors": _tensors(b"not json"),
        "JSON 10^5 deep.safetensors": _tensors(b"[" * 100_000),
        "a list.safetensors": _tensors([1, 2]),
        "offsets outside.safetensors": _tensors({"x": {**shape, "data_offsets": [0, 2**40]}}),
        "offsets reversed.safetensors": _tensors({"x": {**shape, "data_offsets": [9, 0]}}),
        "a type of nobody.safetensors": _tensors({"x": {**shape, "dtype": "Q9"}}, good.tobytes()),
        "a shape of -1.safetensors": _tensors({"x": {**shape, "shape": [-1]}}, good.tobytes()),
        "too short.safetensors": _tensors({"x": shape}, b"123"),
        "data.pkl": b"cos\nsystem\n(S'true'\ntR.",
        "data.pt": whole,
        "data": one,
    }  # fmt: skip


def _layers() -> dict[str, bytes]:
    table = "[[layer]]\nvalue = {}\nkeep = {}\n"
    texts = {
        "empty": "",
        "no TOML": "a = = b",
        "nothing known": "a = 1\n",
        "a table alone": "[layer]\nvalue = 'y'\n",
        "text": "layer = 'y'\n",
        "numbers": "layer = [1, 2]\n",
        "a number for a name": table.format(1, '"int8"'),
        "a keep of nobody": table.format('"y"', '"int2"'),
        "a keep of a number": table.format('"y"', "7"),
        "no keep": "[[layer]]\nvalue = 'y'\n",
        "no name": "[[layer]]\nkeep = 'int8'\n",
        "a layer of nobody": table.format('"ghost"', '"int8"'),
        "a layer twice": table.format('"y"', '"int8"') * 2,
        "a newline in a name": table.format('"a\\nb"', '"int8"'),
        "arrays 10^5 deep": "layer = " + "[" * 100_000,
        "tables 5,000 deep": "[" + ".".join("a" * 5000) + "]\n",
        "a name of 10^6 letters": table.format('"' + "n" * 10**6 + '"', '"int8"'),
        "an integer of 10^5 digits": "a = " + "9" * 100_000,
        "a date": "layer = 1979-05-27T07:32:00Z\n",
        "infinity": "layer = inf\n",
    }
    made = {f"{name}.toml": text.encode() for name, text in texts.items()}
    return {**made, "binary.toml": bytes(range(256)), "UTF-16.toml": "layer = 1".encode("utf-16")}


def _witnesses() -> dict[str, bytes]:
    kernel = '{operator = "conv", k = 8, c = 8, rows = 8, computes = "int8"}'
    head = '[mine]\ngpu = "a40"\ncompiler = "c"\nversion = "10.3"\nbatch = 1\nquantized = "none"\n'
    whole = f"{head}kernels = [\n    {kernel},\n]\n"
    texts = {
        "empty": "",
        "text": "hello",
        "numbers": "a = 1\n",
        "no kernels": head,
        "cut off": whole[: len(whole) // 2],
        "cut in a kernel": whole[:-8],
        "twice": whole * 2,
        "a name of sparqc": whole.replace("[mine]", "[resnet18-qat]"),
        "a GPU of nobody": whole.replace("a40", "a" * 10**5),
        "a version of words": whole.replace("10.3", "newest"),
        "kernels of text": f'{head}kernels = "all"\n',
        "kernels of numbers": f"{head}kernels = [1, 2]\n",
        "kernels of nothing": f"{head}kernels = [{{}}]\n",
        "an operator of nobody": whole.replace('"conv"', '"spell"'),
        "a key of nobody": whole.replace("rows", "columns"),
        "no size": whole.replace("k = 8", "k = 0"),
        "a size of text": whole.replace("k = 8", 'k = "8"'),
        "a size of 10^4 digits": whole.replace("k = 8", "k = " + "9" * 10**4),
        "infinitely many": whole.replace("k = 8", "k = inf"),
        "a time of nan": whole.replace("k = 8", "dense_us = nan, k = 8"),
        "arrays 10^5 deep": f"{head}kernels = " + "[" * 100_000,
        "tables 5,000 deep": "[" + ".".join("a" * 5000) + "]\n",
    }
    made = {f"{name}.toml": text.encode() for name, text in texts.items()}
    return {**made, "binary.toml": bytes(range(256)), "UTF-16.toml": whole.encode("utf-16")}


def _listings() -> dict[str, bytes]:
    kernel = {
        "name": "k", "layer_type": "t", "inputs": [], "outputs": [], "constants": [],
        "nodes": [], "tactic": "", "sparse": None,
    }  # fmt: skip
    texts: dict[str, str] = {
        "empty": "",
        "text": "hello",
        "a number": "1",
        "null": "null",
        "NaN": "NaN",
        "a list": "[]",
        "an empty object": "{}",
        "no layers": '{"Layers": []}',
        "layers of text": '{"Layers": "abc"}',
        "layers of numbers": '{"Layers": [1, 2]}',
        "layers of null": '{"Layers": null}',
        "layers of layers": '{"Layers": [[[]]]}',
        "a layer of nothing": '{"Layers": [{}]}',
        "a layer of wrong types": '{"Layers": [{"Name": 1, "Inputs": 2, "Outputs": {}}]}',
        "no kernels": '{"kernels": []}',
        "kernels of null": '{"kernels": null}',
        "kernels of numbers": '{"kernels": [1]}',
        "kernels of nothing": '{"kernels": [{}]}',
        "arrays 10^5 deep": "[" * 100_000,
        "kernels 10^5 deep": '{"kernels": ' + "[" * 100_000,
        "a number of 10^5 digits": '{"kernels": ' + "9" * 100_000 + "}",
        "surrogates": '{"kernels": "\\ud800"}',
        "sizes of text": json.dumps({"kernels": [
            {**kernel, "inputs": [{"name": "a", "dims": ["x"], "dtype": "f"}]}
        ]}),
        "names of nothing": "Name: \nName: \n",
        "a log cut off": "Name: a, LayerType: ",
        "a log of 10^5 brackets": "Name: a, Inputs: " + "[" * 100_000,
    }  # fmt: skip
    return {f"{name}.json": text.encode() for name, text in texts.items()}


def _words() -> Iterator[Case]:
    """Words on the command line that mean nothing."""
    base = ("compile", "{file}", "--passes", "float", "-o", "{out}")
    noise = (*base, _NOISE)
    whole = ("compile", "{file}", _NOISE, "-o", "{out}")
    long = "x" * 100_000
    given: dict[str, Command] = {
        "passes of nobody": (*base[:3], "nothing", *base[4:]),
        "passes of brackets": (*base[:3], "repeat(" * 5000, *base[4:]),
        "passes of braces": (*base[:3], "fold{x=" + "{" * 5000, *base[4:]),
        "passes of a zero byte": (*base[:3], "a\0b", *base[4:]),
        "passes of surrogates": (*base[:3], "\udcff", *base[4:]),
        "passes of 10^5 letters": (*base[:3], long, *base[4:]),
        "passes of a number of 5,000 digits": (*base[:3], "place{x=" + "9" * 5000 + "}", *base[4:]),
        "passes of nothing": (*base[:3], ",,,", *base[4:]),
        "a target of nobody": (*base, "--target", "moon"),
        "a target of 10^5 letters": (*base, "--target", long),
        "an input of nobody": (*base, "--input", "ghost:f32[1,2]"),
        "an input of 10^20": (*base, "--input", "x:f32[1,4,99999999999999999999,8]"),
        "an input of 10^9 by 10^9": (*base, "--input", "x:f32[1,4,1000000000,1000000000]"),
        "an input of -1": (*base, "--input", "x:f32[-1,4,8,8]"),
        "an input of 0": (*base, "--input", "x:f32[0,4,8,8]"),
        "an input of text": (*base, "--input", "x:f32[a,b]"),
        "an input of brackets": (*base, "--input", "[[[["),
        "an input of nothing": (*base, "--input", ""),
        "an input of rank 5,000": (*base, "--input", "x:f32[" + "1," * 5000 + "1]"),
        "a type of nobody": (*base, "--input", "x:q99[1,4,8,8]"),
        "a selector of nothing": (*base, "--exclude", ""),
        "a selector of brackets": (*whole, "--exclude", "[[[(((***"),
        "a selector of nobody": (*whole, "--exclude", "ghost"),
        "a knob of nobody": (*base, "--knob", "a=b"),
        "a knob of nothing": (*base, "--knob", "==="),
        "a float of nobody": (*base, "--float", "fp3"),
        "types of nobody": (*base, "--io", "fp99"),
        "types of nothing": (*base, "--io", ",,=,"),
        "a skip of nobody": (*base, "--skip", "ghost"),
        "a submodule": (*base, "--submodule", "a.b"),
        "a static batch": (*base, "--static"),
        "an output in no folder": (*base[:5], "no/such/folder/out.onnx"),
        "an output that is a folder": (*base[:5], "."),
        "an output that is a device": (*base[:5], "/dev/null"),
        "an output of 5,000 letters": (*base[:5], "o" * 5000),
        "an output of a zero byte": (*base[:5], "a\0b"),
        "no output": (*base[:5], ""),
        "a fail-under of text": (*noise, "--fail-under", "much"),
        "a model of nobody": ("compile", "ghost.onnx", "-o", "{out}"),
        "a model of no ending": ("compile", "ghost", "-o", "{out}"),
        "a model of a zero byte": ("compile", "a\0.onnx", "-o", "{out}"),
        "a model of a module": ("compile", "no.such.module:thing", "-o", "{out}"),
        "a model of a colon": ("compile", ":::", "-o", "{out}"),
        "a folder": ("compile", ".", "-o", "{out}"),
        "explain a node of nobody": ("explain", "{file}", "--node", "ghost"),
        "explain a batch of 0": ("explain", "{file}", "--batch", "0"),
        "explain a batch of -5": ("explain", "{file}", "--batch", "-5"),
        "explain a batch of 10^30": ("explain", "{file}", "--batch", "1" + "0" * 30),
        "explain a shape of text": ("explain", "{file}", "--shape", "x:axb"),
        "explain a shape of 10^40": ("explain", "{file}", "--shape", f"x:1x4x{10**40}x8"),
        "explain a shape of another rank": ("explain", "{file}", "--shape", "x:1x4"),
        "explain a shape of nobody": ("explain", "{file}", "--shape", "ghost:1x4x8x8"),
        "explain a GPU of nobody": ("explain", "{file}", "--gpu", "abacus"),
        "inspect after nobody": ("inspect", "{file}", "--after", "ghost"),
        "why nobody": ("why", "{file}", "ghost"),
        "why not nobody": ("whynot", "{file}", "ghost"),
        "show nobody": ("rules", "show", "ghost"),
        "a pass of nobody": ("passes", "ghost"),
        "a target named nobody": ("targets", "ghost"),
        "build for SM 0": ("build", "{file}", "--sm", "0"),
        "build for SM 10^9": ("build", "{file}", "--sm", str(10**9)),
        "build onto itself": ("build", "{file}", "-o", "{file}"),
    }
    for title, command in given.items():
        yield Case(f"words: {title}", _good, (command,), "refused")


def _good(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(conv().SerializeToString())
    return path


def _places() -> Iterator[Case]:
    """Pipes, folders and devices where files are meant."""

    def made(make: Callable[[Path], object], name: str) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            _good(folder)
            make(folder / name)
            return folder / name

        return write

    kinds: dict[str, Callable[[Path], object]] = {
        "a pipe": os.mkfifo,
        "a folder": os.mkdir,
        "a link in a circle": lambda p: p.symlink_to(p.name),
        "a link to a device": lambda p: p.symlink_to("/dev/zero"),
        "a link to nothing": lambda p: p.symlink_to("nothing"),
    }
    for title, make in kinds.items():
        for name, commands in (
            ("m.onnx", [("check", "{file}"), ("explain", "{file}"), ("inspect", "{file}"),
                        ("build", "{file}")]),
            ("m.pt2", [("inspect", "{file}")]),
            ("m.py", [("inspect", "{file}")]),
            ("m.spq", _PATTERNS),
            ("m.npz", _CALIBRATION),
            ("m.npy", _CALIBRATION),
            ("m.safetensors", _CALIBRATION),
            ("m.toml", _LAYERS),
            ("m.json", _LISTING),
        ):  # fmt: skip
            yield Case(f"places: {title} for {name}", made(make, name), commands, "refused")


def _with_model(
    kind: str, files: dict[str, bytes], commands: tuple[Command, ...]
) -> Iterator[Case]:
    for title, data in files.items():

        def write(folder: Path, title: str = title, data: bytes = data) -> Path:
            _good(folder)
            path = folder / title
            path.write_bytes(data)
            return path

        yield Case(f"{kind}: {title}", write, commands, "refused")
