"""What a graph is expected to cost on the target, as far as it is finished."""

from __future__ import annotations

from dataclasses import replace

from sparqc.declared.gpus import default_gpus
from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, TensorType
from sparqc.passes.export import Export
from sparqc.passes.surgery import Surgery
from sparqc.rewrite.context import Context

#: The size of a free dimension: the batch that `explain` takes where nobody names one.
_FREE = 8


def predicted_seconds(graph: Graph, context: Context) -> float | None:
    """The predicted time of a calibrated graph on the first of the usual GPUs.

    The graph stays as it is.  None where it cannot be exported yet, or sizes are not known.
    """
    from sparqc.predict.predict import predict_graph
    from sparqc.predict.roofline import estimate

    own = replace(context, facts=context.facts.copy(), scales=dict(context.scales))
    trial = graph.clone()
    try:
        if trial.level == "fx":
            trial, _ = Export().transform(trial, own)
        Surgery().run(trial, own)
    except SparqcError:
        return None
    for value in (*trial.inputs, *(v for node in trial.nodes for v in node.outputs)):
        if value.shape is not None:
            sizes = tuple(_FREE if isinstance(n, str) else n for n in value.shape)
            value.type = TensorType(value.type.dtype, sizes)
    engine = predict_graph(trial, own)
    return None if engine.unsized_tensors else estimate(engine, default_gpus()[0]).about.sparse
