"""Classic TensorRT needs a GPU to build; up to there TensorRT-RTX offers the same interface."""

import json
import types

import pytest
import tensorrt_rtx_bindings as rtx

from sparqc.errors import SparqcError
from sparqc.tools.engine import trt as backend
from sparqc.tools.engine.network import strongly_typed
from sparqc.tools.engine.trt import compile_trt, load_trt
from tests.engine_models import Net, quantized_conv


def inspected(batch):
    """The engine of `quantized_conv` as the inspector of TensorRT 10 describes one."""
    layout = "Thirty-two wide channel vectorized row major Int8 format"
    return {
        "Name": "conv",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Name": "q", "Dimensions": [batch, 16, 8, 8], "Format/Datatype": layout}],
        "Outputs": [
            {
                "Name": "y",
                "Dimensions": [batch, 16, 8, 8],
                "Format/Datatype": "Row major linear FP32",
            }
        ],
        "Weights": {"Type": "Int8", "Count": 2304},
        "TacticName": "sm80_xmma_fprop_sparse_int8",
        "Metadata": "[ONNX Layer: conv]",
    }


class Inspector:
    execution_context = None

    def get_engine_information(self, form):
        assert form == rtx.LayerInformationFormat.JSON
        return json.dumps({"Layers": [inspected(self.execution_context.shapes["x"][0])]})


class Context:
    def __init__(self):
        self.shapes = {}

    def set_input_shape(self, name, shape):
        self.shapes[name] = shape


class Engine:
    create_engine_inspector = Inspector
    create_execution_context = Context


class Runtime:
    def __init__(self, log):
        assert isinstance(log, rtx.ILogger)

    def deserialize_cuda_engine(self, plan):
        assert plan.nbytes > 0
        return Engine()


class Library(types.SimpleNamespace):
    """A stand-in for a module; modules are hashable."""

    __hash__ = object.__hash__


@pytest.fixture
def gpu_library():
    """TensorRT-RTX, with a runtime that behaves as if there was a GPU."""
    return Library(**{**vars(rtx), "Runtime": Runtime})


def test_an_engine_is_built_and_inspected_for_the_usual_shape(gpu_library, tmp_path):
    report = compile_trt(quantized_conv(), trt=gpu_library, batch=4, output=tmp_path / "e.plan")
    assert report.accepted
    assert report.int8_nodes == ["conv"]
    assert report.sparse_kernels == 1
    assert report.bytes_read == 4 * 16 * 8 * 8
    assert (tmp_path / "e.plan").stat().st_size == report.plan_bytes


def test_a_refused_model_has_the_parsers_words(gpu_library):
    net = Net()
    report = compile_trt(net.model(net.op("Frobnicate", "x")), trt=gpu_library)
    assert not report.accepted
    assert "does not know this operator" in str(report.errors[0])


def test_without_a_gpu_the_engine_cannot_be_read():
    with pytest.raises(SparqcError, match="no usable NVIDIA GPU") as caught:
        compile_trt(quantized_conv(), trt=rtx)
    assert "--target tensorrt-rtx" in str(caught.value)


def test_a_library_that_does_not_start_is_an_error():
    class Broken(Library):
        @staticmethod
        def Builder(log):  # noqa: N802
            raise TypeError("pybind11::init(): factory function returned nullptr")

    library = Broken(**{k: v for k, v in vars(rtx).items() if k != "Builder"})
    with pytest.raises(SparqcError, match="does not start"):
        compile_trt(quantized_conv(), trt=library)


def test_tensorrt_8_knows_no_strong_typing():
    old = types.SimpleNamespace(NetworkDefinitionCreationFlag=types.SimpleNamespace())
    assert strongly_typed(rtx)
    assert not strongly_typed(old)


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(backend.importlib.sys.modules, "tensorrt", None)
    with pytest.raises(SparqcError, match="not installed") as caught:
        load_trt()
    assert "pip install tensorrt" in str(caught.value)
    assert "GPU" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "installed", "fits"),
    [
        ("tensorrt", "10.3.0", True),
        ("tensorrt-10", "10.3.0", True),
        ("tensorrt-8.6", "8.6.1", True),
        ("tensorrt-11", "10.3.0", False),
        ("tensorrt-1", "10.3.0", False),
    ],
)
def test_the_target_s_version_has_to_be_the_installed_one(monkeypatch, target, installed, fits):
    library = types.ModuleType("tensorrt")
    library.__version__ = installed
    monkeypatch.setitem(backend.importlib.sys.modules, "tensorrt", library)
    if fits:
        assert load_trt(target) is library
        return
    with pytest.raises(SparqcError, match=f"TensorRT {installed} is installed"):
        load_trt(target)
