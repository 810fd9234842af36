"""ONNX models: files, graphs, opsets.  One name for what the `onnx_*` modules hold."""

from sparqc.ir.onnx.load import load_onnx, save_onnx, whole_model
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.onnx.opset import convert_opset, opset_of
from sparqc.ir.onnx.read import read_onnx
from sparqc.ir.onnx.write import write_onnx
from sparqc.ir.vocabulary.onnx_names import DEFAULT_OPSET

__all__ = [
    "DEFAULT_OPSET",
    "OnnxNative",
    "convert_opset",
    "load_onnx",
    "opset_of",
    "read_onnx",
    "save_onnx",
    "whole_model",
    "write_onnx",
]
