"""The quantizers that are compared, and what each one's environment holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    """A quantizer, the script that runs it, and the settings that are tried."""

    name: str
    title: str
    script: str
    settings: tuple[str, ...]
    #: What pip installs into an environment of its own; () for the one that runs this.
    packages: tuple[str, ...] = ()


#: What both tools on PyTorch need to load the networks.  Where pip is told of CPU builds of torch,
#: these satisfy the pin, too.
TORCH = ("torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6", "pillow==13.0.0")

TOOLS = (
    Tool(
        "modelopt",
        "Model Optimizer 0.47.0",
        "with_modelopt.py",
        ("max+max", "percentile:99.99+max", "entropy+max"),
        # The last two are imported, but not demanded.
        (*TORCH, "nvidia-modelopt==0.47.0", "huggingface_hub==2.4.0", "requests==2.34.2"),
    ),
    Tool(
        "torchao",
        "torchao 0.18.0, PT2E",
        "with_torchao.py",
        ("MinMax", "Histogram"),
        (*TORCH, "torchao==0.18.0"),
    ),
    Tool(
        "onnxruntime",
        "onnxruntime 1.32.0, quantize_static",
        "with_onnxruntime.py",
        ("MinMax", "Entropy", "Percentile:99.99", "Percentile:99.999"),
        ("onnxruntime==1.32.0", "onnx==1.23.0", "numpy==2.4.6"),
    ),
    Tool(
        "sparqc",
        "sparqc",
        "with_sparqc.py",
        # Presets.
        (
            "int8",
            "int8-accurate",
            "auto",
        ),
    ),
)
