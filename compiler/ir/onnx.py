"""ONNX models: files, graphs, opsets.  One name for what the `onnx_*` modules hold."""

from sparqc.ir.onnx_load import load_onnx, save_onnx
from sparqc.ir.onnx_native import OnnxNative
from sparqc.ir.onnx_opset import convert_opset, opset_of
from sparqc.ir.onnx_read import read_onnx
from sparqc.ir.onnx_schema import DEFAULT_OPSET
from sparqc.ir.onnx_write import write_onnx

__all__ = [
    "DEFAULT_OPSET",
    "OnnxNative",
    "convert_opset",
    "load_onnx",
    "opset_of",
    "read_onnx",
    "save_onnx",
    "write_onnx",
]
