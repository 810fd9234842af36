"""One random network compiled in every way, and what is wrong with that."""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime as ort
import torch

import sparqc
from sparqc.errors import SparqcError
from sparqc.ir.graph import Array
from sparqc.report.quality import GOOD, quality_of
from tests.chains.chain import BATCH, Chain
from tests.zoo.structure import Structure

#: What a float file may be off by, relative to the largest magnitude of an output.
CLOSE = 1e-4
#: The other batch that a file is run with.
OTHER_BATCH = 5
#: So many batches are calibrated on.
CALIBRATION = 4
LEVELS = {
    "off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "on": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
#: The target refuses some operators that are drawn, such as Col2Im, and forms of torch.onnx's
#: files, such as a Resize with antialias: numbers and layers are compared all the same.
LENIENT = "-check,+check{strict=false}"


@dataclass
class Outcome:
    """What was found about one network."""

    index: int
    kinds: Sequence[str]
    #: Each in one line: the check that failed, and how.
    faults: list[str] = field(default_factory=list)
    #: The largest error of the float file by the largest magnitude.
    float_error: float = 0.0
    #: The INT8 file against PyTorch, in dB, on the example inputs.
    int8_snr: float = float("inf")
    grade: str = ""
    #: Weighted operators, and how many of them run in INT8.
    layers: int = 0
    int8: int = 0
    #: Whether the batch had to be fixed.
    is_static: bool = False
    #: Whether PyTorch itself is off by more than a tenth of CLOSE, measured in float64.
    is_unstable: bool = False
    #: Operators that torch.onnx wrote.
    alone: Sequence[str] = ()
    seconds: float = 0.0


def measure(network: Chain, index: int, *, thorough: bool = True) -> Outcome:
    """Compile a network from PyTorch and from ONNX files of it, and run all that comes out.

    The ONNX files are sparqc's own float file and, where `thorough`, that of torch.onnx.export.
    Else the network is captured once for all compiles, which takes half of the time.
    """
    found = Outcome(index, network.kinds)
    start = time.process_time()
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            _measure(network, found, thorough)
        finally:
            logging.disable(logging.NOTSET)
    found.seconds = time.process_time() - start
    return found


def _measure(network: Chain, found: Outcome, thorough: bool) -> None:
    inputs = tuple(network.inputs)
    found.is_unstable = _is_unstable(network)
    module = network if thorough else _captured(network)
    try:
        exported = sparqc.compile(module, inputs, passes=f"float,{LENIENT}")
    except Exception as error:  # noqa: BLE001  (a crash is what is looked for)
        found.faults.append(_fault("float", error))
        return
    found.alone = sorted(exported.opaque)
    found.is_static = not _has_free_batch(exported.model)
    _compare_float(network, exported.model, found)
    sizes = [BATCH] * 4 * CALIBRATION if found.is_static else [4 * BATCH] * CALIBRATION
    batches = [network.drawn(size, 100 + i) for i, size in enumerate(sizes)]
    try:
        done = sparqc.compile(module, inputs, passes=f"int8,{LENIENT}", calibration=batches)
    except Exception as error:  # noqa: BLE001
        found.faults.append(_fault("int8", error))
        return
    _judge(network, done, found)
    layers = int8_layers(done.model)
    found.int8, found.layers = sum(layers.values()), len(list(_weighted(done.model)))
    _from_onnx("own file", exported.model, inputs, batches, layers, found)
    if thorough:
        file = _torch_file(network, found)
        _from_onnx("torch.onnx", file, inputs, batches, layers, found)


def _captured(network: Chain) -> torch.nn.Module:
    """The network as torch.export gives it, for any batch; as it is where that fails."""
    shapes = (tuple({0: torch.export.Dim("batch")} for _ in network.inputs),)
    try:
        with torch.no_grad():
            program = torch.export.export(
                network, tuple(network.inputs), dynamic_shapes=shapes, strict=False
            )
    except Exception:  # noqa: BLE001
        return network
    return program.module(check_guards=False)


def _from_onnx(
    name: str,
    model: onnx.ModelProto | None,
    inputs: Sequence[torch.Tensor],
    batches: Sequence[Sequence[torch.Tensor]],
    expected: Counter[tuple[object, ...]],
    found: Outcome,
) -> None:
    """Hold the INT8 layers of an ONNX file of the network to those of the network itself."""
    if model is None:
        return
    try:
        done = sparqc.compile(model, tuple(inputs), passes=f"int8,{LENIENT}", calibration=batches)
    except Exception as error:  # noqa: BLE001
        found.faults.append(_fault(f"int8 of the {name}", error))
        return
    layers = int8_layers(done.model)
    if layers != expected:
        more, less = layers - expected, expected - layers
        found.faults.append(
            f"layers: the {name} has in INT8 {_listed(more) or 'none'} more, "
            f"{_listed(less) or 'none'} less than the module"
        )


def _fault(what: str, error: Exception) -> str:
    kind = "" if isinstance(error, SparqcError) else f"CRASH {type(error).__name__}: "
    return f"{what}: {kind}" + " / ".join(str(error).strip().splitlines()[:4])[:400]


# -- numbers ---------------------------------------------------------------------------------------


def _compare_float(network: Chain, model: onnx.ModelProto, found: Outcome) -> None:
    for size in (BATCH,) if found.is_static else (BATCH, OTHER_BATCH):
        inputs = network.drawn(size, size)
        expected = _torch_outputs(network, inputs)
        for word, level in LEVELS.items():
            what = f"float, batch {size}, optimizations {word}"
            try:
                actual = run_onnx(model, inputs, level)
            except Exception as error:  # noqa: BLE001
                found.faults.append(_fault(what, error))
                continue
            off = max(error_of(a, b) for a, b in zip(expected, actual, strict=True))
            found.float_error = max(found.float_error, off)
            if not off <= CLOSE and not found.is_unstable:
                found.faults.append(f"{what}: off by {off:.2g}")


def error_of(expected: Array, actual: Array) -> float:
    """The largest difference by the largest magnitude, itself where that is 0; infinite where
    shapes or types differ."""
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return float("inf")
    a, b = expected.astype(np.float64), actual.astype(np.float64)
    off = np.abs(a - b).max(initial=0.0)
    largest = np.abs(a).max(initial=0.0)
    return float(off / largest) if largest else float(off)


def _is_unstable(network: Chain) -> bool:
    """Whether PyTorch departs from itself where nothing but the rounding of numbers changes."""
    for size in (BATCH, OTHER_BATCH):
        inputs = network.drawn(size, size)
        expected = _torch_outputs(network, inputs)
        nudged = [x * (1 + 1e-6 * torch.sign(torch.sin(1e4 * x))) for x in inputs]
        actual = _torch_outputs(network, nudged)
        if any(error_of(a, b) > CLOSE / 3 for a, b in zip(expected, actual, strict=True)):
            return True
    return False


def _judge(network: Chain, done: sparqc.Compiled, found: Outcome) -> None:
    """Hold the grade of an INT8 file to what onnxruntime gives."""
    found.grade = quality_of(done).grade
    inputs = tuple(network.inputs)
    actual = run_onnx(done.model, inputs, LEVELS["off"])
    found.int8_snr = snr(_torch_outputs(network, inputs), actual)
    if found.int8_snr < GOOD - 0.5 and found.grade == "good":
        found.faults.append(f"int8: {found.int8_snr:.1f} dB, but graded {found.grade}")


def snr(expected: Sequence[Array], actual: Sequence[Array]) -> float:
    """Signal to noise over all outputs that are floats, in dB."""
    pairs = [
        (a.astype(np.float64), b.astype(np.float64))
        for a, b in zip(expected, actual, strict=True)
        if a.dtype.kind == "f"
    ]
    signal = sum(float(np.square(a).sum()) for a, _ in pairs)
    noise = sum(float(np.square(a - b).sum()) for a, b in pairs)
    return 10 * float(np.log10(max(signal, 1e-300) / noise)) if noise else float("inf")


def run_onnx(
    model: onnx.ModelProto, inputs: Sequence[torch.Tensor], level: ort.GraphOptimizationLevel
) -> list[Array]:
    """The outputs of onnxruntime."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [i.name for i in session.get_inputs()]
    feeds = dict(zip(names, (x.numpy() for x in inputs), strict=True))
    return session.run(None, feeds)


def _torch_outputs(network: Chain, inputs: Sequence[torch.Tensor]) -> list[Array]:
    with torch.no_grad():
        given = network(*inputs)
    return [y.numpy() for y in (given if isinstance(given, tuple) else (given,))]


# -- structure -------------------------------------------------------------------------------------


def int8_layers(model: onnx.ModelProto) -> Counter[tuple[object, ...]]:
    """The weighted operators that run in INT8: a kind, and the sizes of the weight in any order.

    A Gemm and a MatMul are one kind: which of them a linear layer becomes differs from road to
    road.
    """
    return Counter(key for key, is_int8 in _weighted(model) if is_int8)


def _weighted(model: onnx.ModelProto) -> Iterator[tuple[tuple[object, ...], bool]]:
    structure = Structure(model)
    in_float = set(structure.in_float())
    for node in structure.of(*WEIGHTED):
        codes = structure.codes(node)
        if codes is not None:
            kind = "product" if node.op_type in ("Gemm", "MatMul") else node.op_type
            yield (kind, *sorted(codes.shape)), node.name not in in_float


def _listed(layers: Counter[tuple[object, ...]]) -> str:
    return ", ".join(f"{n} {' '.join(map(str, key))}" for key, n in sorted(layers.items(), key=str))


def _has_free_batch(model: onnx.ModelProto) -> bool:
    sizes = [i.type.tensor_type.shape.dim[0] for i in model.graph.input]
    return all(bool(d.dim_param) for d in sizes)


def _torch_file(network: Chain, found: Outcome) -> onnx.ModelProto | None:
    """What torch.onnx.export makes of the network; None where it fails."""
    batch = None if found.is_static else torch.export.Dim("batch")
    shapes = None if batch is None else (tuple({0: batch} for _ in network.inputs),)
    try:
        program = torch.onnx.export(
            network,
            tuple(network.inputs),
            dynamo=True,
            dynamic_shapes=shapes,
            verbose=False,
        )
    except Exception:  # noqa: BLE001  (not ours)
        return None
    return program.model_proto if program is not None else None
