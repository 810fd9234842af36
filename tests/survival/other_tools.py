"""What people run on an ONNX file before they build it."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import onnx
import onnx.version_converter
import onnx_graphsurgeon as gs
import onnx_ir
import onnxruntime as ort
import onnxscript.optimizer
import onnxscript.version_converter

Transform = Callable[[onnx.ModelProto], onnx.ModelProto]


@dataclass(frozen=True)
class OtherTool:
    """One tool with the settings that people use."""

    name: str
    package: str
    run: Transform
    #: Whether it is asked for another opset.
    converts: bool = False

    @property
    def version(self) -> str:
        """The version that is installed."""
        return version(self.package)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _onnxsim(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxsim

    simplified, same = onnxsim.simplify(_copy(model))
    assert same
    return simplified


def _onnxslim(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxslim

    return onnxslim.slim(_copy(model))


def _onnxscript(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnxscript.optimizer.optimize(_copy(model))


def _onnxruntime(
    level: ort.GraphOptimizationLevel, without: Sequence[str] = (), **settings: str
) -> Transform:
    """The optimized model that onnxruntime saves, without some optimizers, with some settings."""

    def run(model: onnx.ModelProto) -> onnx.ModelProto:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "optimized.onnx"
            options = ort.SessionOptions()
            options.graph_optimization_level = level
            options.optimized_model_filepath = str(path)
            options.log_severity_level = 3
            for key, value in settings.items():
                options.add_session_config_entry(f"session.{key}", value)
            ort.InferenceSession(
                model.SerializeToString(),
                options,
                ["CPUExecutionProvider"],
                disabled_optimizers=list(without),
            )
            return onnx.load(path)

    return run


def _float16(*kept: str) -> Transform:
    def run(model: onnx.ModelProto) -> onnx.ModelProto:
        from onnxruntime.transformers.float16 import (
            DEFAULT_OP_BLOCK_LIST,
            convert_float_to_float16,
        )
        from onnxruntime.transformers.onnx_model import OnnxModel

        blocked = [*DEFAULT_OP_BLOCK_LIST, *kept]
        converted = OnnxModel(convert_float_to_float16(_copy(model), op_block_list=blocked))
        converted.topological_sort()  # its Casts stand at the end
        return converted.model

    return run


def _graphsurgeon(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = gs.import_onnx(_copy(model))
    return gs.export_onnx(graph.fold_constants().cleanup())


def _converted(step: int) -> Transform:
    def run(model: onnx.ModelProto) -> onnx.ModelProto:
        return onnx.version_converter.convert_version(_copy(model), opset_of(model) + step)

    return run


def _converted_by_onnxscript(step: int) -> Transform:
    def run(model: onnx.ModelProto) -> onnx.ModelProto:
        ir = onnx_ir.serde.deserialize_model(_copy(model))
        onnxscript.version_converter.convert_version(ir, opset_of(model) + step, fallback=True)
        return onnx_ir.serde.serialize_model(ir)

    return run


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators."""
    return next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))


BASIC = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
EXTENDED = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED

TOOLS = (
    OtherTool("onnxsim", "onnxsim", _onnxsim),
    OtherTool("onnxslim", "onnxslim", _onnxslim),
    OtherTool("onnxscript's optimizer", "onnxscript", _onnxscript),
    OtherTool("graphsurgeon's fold_constants, cleanup", "onnx-graphsurgeon", _graphsurgeon),
    OtherTool("onnxruntime, basic", "onnxruntime", _onnxruntime(BASIC)),
    OtherTool(
        "onnxruntime, basic, without WeightBiasQuantization",
        "onnxruntime",
        _onnxruntime(BASIC, ["WeightBiasQuantization"]),
    ),
    OtherTool(
        "onnxruntime, basic, without WeightBiasQuantization and ConstantFolding",
        "onnxruntime",
        _onnxruntime(BASIC, ["WeightBiasQuantization", "ConstantFolding"]),
    ),
    OtherTool(
        "onnxruntime, basic, session.disable_quant_qdq=1",
        "onnxruntime",
        _onnxruntime(BASIC, disable_quant_qdq="1"),
    ),
    OtherTool("onnxruntime, extended", "onnxruntime", _onnxruntime(EXTENDED)),
    OtherTool("onnxruntime's float16 converter", "onnxruntime", _float16()),
    OtherTool(
        "onnxruntime's float16 converter, Q/DQ kept in FP32",
        "onnxruntime",
        _float16("QuantizeLinear", "DequantizeLinear"),
    ),
    OtherTool("onnx's opset converter, one up", "onnx", _converted(1), converts=True),
    OtherTool("onnx's opset converter, three down", "onnx", _converted(-3), converts=True),
    OtherTool(
        "onnxscript's opset converter, one up",
        "onnxscript",
        _converted_by_onnxscript(1),
        converts=True,
    ),
    OtherTool(
        "onnxscript's opset converter, three down",
        "onnxscript",
        _converted_by_onnxscript(-3),
        converts=True,
    ),
)
