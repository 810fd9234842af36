"""What one tool makes of one compiled file: before, after, what `sparqc check` says, a verdict."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import torch

import sparqc
from sparqc.errors import SparqcError
from sparqc.tools import cli
from sparqc.tools.engine.rtx import compile_rtx
from tests.survival.networks import NETWORKS
from tests.survival.other_tools import OtherTool, opset_of
from tests.zoo.structure import REDUCTION_AXIS, Structure

#: The kinds of files that sparqc writes, and what it is asked for to get them.
FORMS = {
    "INT8 weights, FP32": {"target": "tensorrt-11", "float": "fp32"},
    "INT8 weights, FP16": {"target": "tensorrt-11", "float": "fp16"},
    "float weights": {"target": "tensorrt-8.6", "float": "fp32"},
}
#: What mends a file in which only DequantizeLinears and weights went together.
MENDING = "surgery, check"
CONSEQUENTIAL = ("error", "slow")


@dataclass(frozen=True)
class State:
    """One file: its layers by sparqc's own count, its codes, and what TensorRT-RTX makes of it."""

    int8: int
    sparse: int
    rtx_int8: tuple[str, ...] | None  # None where TensorRT-RTX refuses the file
    codes: Counter[bytes]  # of the 2:4 weights
    findings: Counter[str]
    errors: frozenset[str]
    finding_nodes: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """A file before and after one tool; `after` is None where the tool gave up.

    `mended` is the file after sparqc's own cures, None where they do not apply or not suffice.
    """

    before: State
    after: State | None
    mended: State | None
    refusal: str = ""

    @property
    def unharmed(self) -> bool:
        """Whether TensorRT-RTX runs the same layers in INT8 and every 2:4 code is as it was."""
        return self.after is not None and _same(self.before, self.after)

    @property
    def found(self) -> Counter[str]:
        """What `check` finds behind the tool and did not find before it, by id."""
        return Counter() if self.after is None else self.after.findings - self.before.findings

    @property
    def verdict(self) -> str:
        """`safe`, `mendable`, `unsafe`, or `refused` where the tool writes no file."""
        if self.after is None:
            return "refused"
        if self.unharmed and not self.found:
            return "safe"
        if self.mended and _same(self.before, self.mended):
            return "mendable"
        return "unsafe"


def _same(before: State, after: State) -> bool:
    return before.rtx_int8 == after.rtx_int8 and before.codes == after.codes


@cache
def compiled(network: str, form: str) -> onnx.ModelProto:
    """One of the networks, with seeded weights, as a file of some form."""
    torch.manual_seed(0)
    net = NETWORKS[network]().eval()
    x = torch.randn(net.example, generator=torch.Generator().manual_seed(0))
    options = {"random_calibration": True, "passes": "all-sparse", **FORMS[form]}
    return sparqc.compile(net, (x,), **options).model


@cache
def state_before(network: str, form: str) -> State:
    """The file as sparqc wrote it."""
    return state(compiled(network, form), FORMS[form]["target"])


@cache
def outcome(tool: OtherTool, network: str, form: str) -> Outcome:
    """Run one tool on one file."""
    before = state_before(network, form)
    try:
        model = tool.run(compiled(network, form))
    except RuntimeError as error:  # of the tools here only onnx's own converter gives up
        return Outcome(before, None, None, str(error).rpartition(": ")[2])
    if tool.converts and opset_of(model) == opset_of(compiled(network, form)):
        return Outcome(before, None, None, "it leaves the file in its opset")
    after = state(model, FORMS[form]["target"])
    done = Outcome(before, after, None)
    return replace(done, mended=mend(model, FORMS[form]["target"], before)) if done.found else done


def mend(model: onnx.ModelProto, target: str, before: State) -> State | None:
    """The file after sparqc's own cures, None where they leave something."""
    try:
        mended = sparqc.compile(model, target=target, passes=MENDING).model
    except SparqcError:
        return None
    left = Counter(f["id"] for f in consequential(check(mended, target)))
    return None if left - before.findings else state(mended, target)


def state(model: onnx.ModelProto, target: str) -> State:
    """Look at a file with `sparqc check`, with onnx alone, and with TensorRT-RTX."""
    checked = check(model, target)
    findings = consequential(checked)
    report = compile_rtx(model, batch=1)
    outputs = {node.name: node.output[0] for node in model.graph.node}
    return State(
        int8=checked["int8_layers"],
        sparse=checked["sparse_layers"],
        rtx_int8=tuple(sorted(outputs[n] for n in report.int8_nodes)) if report.accepted else None,
        codes=two_four_codes(model),
        findings=Counter(f["id"] for f in findings),
        errors=frozenset(f["id"] for f in findings if f["grade"] == "error"),
        # A finding names nodes; of a nameless one, or one that is gone, the value.
        finding_nodes=frozenset(
            x for f in findings for n in f["nodes"] for x in (n, outputs.get(n))
        ),
    )


def consequential(checked: dict) -> list[dict]:
    """The findings that say more than a note."""
    return [f for f in checked["findings"] if f["grade"] in CONSEQUENTIAL]


def check(model: onnx.ModelProto, target: str) -> dict:
    """What `sparqc check --json` prints."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        cli.run(["check", str(path), "--target", target, "--json"])
    return json.loads(out.getvalue())


def two_four_codes(model: onnx.ModelProto) -> Counter[bytes]:
    """The INT8 codes of every 2:4 weight, wherever and in whichever form they stand."""
    structure = Structure(model)
    found = ((node, codes_of(structure, node)) for node in structure.of(*REDUCTION_AXIS))
    return Counter(
        codes.tobytes()
        for node, codes in found
        if codes is not None and is_two_four(codes, REDUCTION_AXIS[node.op_type])
    )


def is_two_four(codes: np.ndarray, axis: int) -> bool:
    """Whether of every four codes along an axis two are zero."""
    if codes.shape[axis] % 4:
        return False
    return bool(((np.moveaxis(codes, axis, -1).reshape(-1, 4) != 0).sum(1) <= 2).all())


def codes_of(structure: Structure, node: onnx.NodeProto) -> np.ndarray | None:
    """The codes that a node multiplies by, stored or as its QuantizeLinear gives them."""
    if not structure.is_dequantized(node.input[1]):
        return None
    source = structure.producer[node.input[1]].input[0]
    if source in structure.constants:
        return structure.constants[source]
    quantize = structure.producer[source]
    weight, scale = (structure.constants.get(name) for name in quantize.input[:2])
    if weight is None or scale is None:
        return None
    axis = next((a.i for a in quantize.attribute if a.name == "axis"), 1)
    shape = [-1 if i == axis % weight.ndim else 1 for i in range(weight.ndim)]
    steps = scale.reshape(shape) if scale.size > 1 else scale.reshape([1] * weight.ndim)
    return np.clip(np.rint(weight / steps), -128, 127).astype(np.int8)
