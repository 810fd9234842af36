"""Whether a part of a model loses more in a compile than it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from sparqc.errors import UsageError
from sparqc.tools.runs.checks import tried

if TYPE_CHECKING:
    import onnx

    from sparqc.ir.graph import Array
    from sparqc.job.open import Job
    from sparqc.job.result import Result
    from sparqc.tools.model.request import Request


@dataclass(frozen=True)
class Loses:
    """A compile as a run asked for it, on the values that the part has inside of the whole."""

    request: Request
    #: What each value of the whole model is, on a few samples.
    values: Mapping[str, Array]
    #: Less signal to noise than this is bad, in dB.
    least: float

    @classmethod
    def of(cls, whole: Result, request: Request, least: float) -> Loses:
        """Of the model in float.  UsageError where there are neither example inputs nor
        calibration data to run it on."""
        from sparqc.ir.samples import first_samples
        from sparqc.passes.on_data.observe import Observer

        graph, context = whole.graph, whole.context
        given = context.calibration() if context.calibration else ()
        batch = context.example if len(context.example) else next(iter(given), ())
        if not len(batch):
            raise UsageError("--min-snr: the model has no example inputs to compare on")
        batch = first_samples(batch, graph.inputs)
        found = {v.name: array for v, array in zip(graph.inputs, batch, strict=True)}
        parts: dict[str, list[Array]] = {}
        computed = [v for node in graph.nodes for v in node.outputs]
        Observer(graph, computed, context.table).run(
            batch, lambda value, array: parts.setdefault(value.name, []).append(array)
        )
        found |= {name: np.concatenate(arrays) for name, arrays in parts.items()}
        return cls(request, found, least)

    def __call__(self, model: onnx.ModelProto) -> bool:
        """Whether the compiled part has less than it may; what does not compile is not bad."""
        from sparqc.job.run import run_job

        job = self._job(model)
        compiled, _ = tried(lambda: run_job(job)) if job is not None else (None, None)
        gap = compiled.difference if compiled is not None else None
        return gap is not None and gap.snr_db < self.least

    def _job(self, model: onnx.ModelProto) -> Job | None:
        from sparqc.job.open import new_job

        batch = []
        for value in model.graph.input:  # cut_out calls it so where it was computed
            array = self.values.get(value.name, self.values.get(value.name.removesuffix("_in")))
            if array is None:
                return None
            kind = tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            batch.append(array.astype(kind, copy=False))
        options = replace(self.request.options, io="float", exclude=(), dense=())
        job, _ = tried(lambda: new_job(model, batch, calibration=[batch], options=options))
        return job
