"""Running ONNX graphs with onnxruntime."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as state

from sparqc.errors import SparqcError
from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.onnx.skeleton import shared_weights
from sparqc.ir.onnx.write import write_shared, write_surgeon
from sparqc.ir.runner import Optimize
from sparqc.ir.vocabulary.table import OperatorTable

_LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
#: onnxruntime's exceptions have no base of their own.
_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception)),
)


class OnnxRunner:
    """Runs a graph, or the `model` it was written as; see `sparqc.ir.levels.execute.open_runner`.

    Large constants are shared with onnxruntime, not copied.

    Quantizers that have no scale yet pass their input through.
    """

    def __init__(
        self,
        graph: Graph,
        table: OperatorTable,
        *,
        optimize: Optimize = "none",
        threads: int | None = None,
        model: onnx.ModelProto | None = None,
    ) -> None:
        self.graph, self.table = graph, table
        self.optimize, self.threads = optimize, threads
        self._observed: tuple[Value, ...] = ()
        self._names: dict[Value, str] = {}
        self._session: Any = None
        self._shared: list[Any] = []
        if model is not None:
            self._start(*shared_weights(model))

    def run(
        self, batch: Sequence[Array], observe: Sequence[Value] = ()
    ) -> tuple[list[Array], list[Array]]:
        """The graph's outputs and the observed values; see `sparqc.ir.runner.Runner`."""
        feeds = self._feeds(batch)
        computed = tuple(dict.fromkeys(v for v in observe if v.producer is not None))
        if self._session is None or computed != self._observed:
            self._open(computed)
        names = [*self._names.values()]
        wanted = list(dict.fromkeys([*self.graph.output_names, *names]))
        try:
            results = dict(zip(wanted, self._session.run(wanted, feeds), strict=True))
        except _ERRORS as error:
            where = _place(self.graph, str(error))
            raise SparqcError(f"onnxruntime failed{where}: {_sentence(error)}") from error
        outputs = [results[name] for name in self.graph.output_names]
        known = {v: results[name] for v, name in self._names.items()}
        known |= {v: feeds[v.name] for v in self.graph.inputs}
        return outputs, [known[v] if v.data is None else v.data for v in observe]

    def refresh(self) -> None:
        """Nothing: the arrays of constants are replaced, not changed, on this level."""

    def _feeds(self, batch: Sequence[Array]) -> dict[str, Array]:
        inputs = self.graph.inputs
        if len(batch) != len(inputs):
            raise SparqcError(f"the graph has {len(inputs)} inputs, but got {len(batch)} arrays")
        for value, array in zip(inputs, batch, strict=True):
            if numpy_dtype(value.type.dtype) not in (None, array.dtype):
                raise SparqcError(
                    f"input {value.name!r} takes {value.type.dtype}, but got {array.dtype}"
                )
        return {v.name: np.asarray(a, order="C") for v, a in zip(inputs, batch, strict=True)}

    def _open(self, observed: tuple[Value, ...]) -> None:
        self._session, self._shared = None, []  # two sessions at once would take twice the memory
        written = write_surgeon(self.graph, self.table, pass_uncalibrated=True)
        surgeon, tensors = written.surgeon, written.surgeon.tensors()
        self._names = {v: written.names[v] for v in observed}
        for name in dict.fromkeys(self._names.values()):
            if name not in self.graph.output_names:
                surgeon.outputs.append(tensors[name])
        self._start(*write_shared(written))
        self._observed = observed

    def _start(self, model: onnx.ModelProto, arrays: Mapping[str, Array]) -> None:
        options = _session_options(self.optimize, self.threads)
        # An OrtValue keeps its array, and the session only borrows it.
        self._shared = [ort.OrtValue.ortvalue_from_numpy(_plain(a)) for a in arrays.values()]
        options.add_external_initializers(list(arrays), self._shared)
        try:
            self._session = ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except _ERRORS as error:
            raise SparqcError(
                f"onnxruntime does not take this graph: {_sentence(error)}"
            ) from error


def _plain(array: Array) -> Array:
    return np.asarray(array, order="C")


def _session_options(optimize: Optimize, threads: int | None) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = _LEVELS[optimize]
    options.intra_op_num_threads = threads or default_threads()
    # Waiting threads sleep: on a shared machine spinning ones take the time that others need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Quantizers round where they stand.  onnxruntime's own INT8 kernels are no target's, and it
    # puts some where they fail (MatMulIntegerToFloat: "b zero point is not valid").
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # as fast without, and what is freed is free
    # Its plan takes time quadratic in the values that live at once, and serves later runs only.
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # what fails is raised anyway
    return options


def default_threads() -> int:
    """As many threads as PyTorch uses, where it is loaded, else as this process has cores."""
    torch: Any = sys.modules.get("torch")
    return torch.get_num_threads() if torch else len(os.sched_getaffinity(0))


def _place(graph: Graph, message: str) -> str:
    """Where in the user's model the node stands that a message names: nodes are called what they
    define."""
    named = re.search(r"Name:'([^']*)'", message)
    value = graph.value(named[1]) if named and named[1] in graph else None
    if value is None or value.producer is None:
        return ""
    origin = value.producer.origin
    return f" in {origin.module}" * bool(origin.module) + f" at {origin.source}" * bool(
        origin.source
    )


def _sentence(error: Exception) -> str:
    """onnxruntime's message without its error code: it names the node."""
    text = " ".join(str(error).split())
    return text.split(" : ", 3)[-1] if text.startswith("[ONNXRuntimeError]") else text
