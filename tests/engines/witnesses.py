"""Writes the witnesses that the three public listings give, as `sparqc explain --learn` does.

    python -m tests.engines.witnesses

A test holds the files equal to what this writes.
"""

from __future__ import annotations

import json
from pathlib import Path

from sparqc.declared.gpus import gpu
from sparqc.tools.engine.listings.inspector import parse_inspector
from sparqc.tools.engine.listings.listing import Listing
from sparqc.tools.engine.listings.profile import timed
from sparqc.tools.explain.learn import Learned, learn
from sparqc.tools.explain.prediction import predict
from sparqc.tools.explain.witness_text import witness_text
from tests.engines.facts import ENGINES, PublicEngine

FOLDER = Path(__file__).parents[2] / "patterns" / "tensorrt" / "witnesses"
#: What their listings do not say: what the network is, the GPU, and microseconds of the whole.
KNOWN = {
    "resnet18_qat": ("ResNet-18, 224x224, float skips", "a100-pcie-80gb", 882.0),
    "mobilenet_v2_qat": ("MobileNetV2, 224x224, float skips", "titan-rtx", None),
    "mobilenet_v2_qat_residuals": ("MobileNetV2, 224x224", "titan-rtx", None),
}
_TITLE = """\
# Learned from a public engine: `python -m tests.engines.witnesses` wrote it.
"""


def learned(public: PublicEngine) -> Learned:
    """What a public engine shows."""
    model = public.graph()
    kernels = parse_inspector(json.dumps(public.listing()))
    if all("us" in layer for layer in public.layers):
        kernels = timed(kernels, public.times())
    engine = predict(model, "tensorrt-8.6")
    return learn(engine, Listing(kernels), model, gpu(KNOWN[public.name][1]), "8.4")


def text(public: PublicEngine) -> str:
    """The file of a public engine."""
    network, _, whole = KNOWN[public.name]
    found = learned(public)
    of = {name: public.facts[name] for name in ("source", "license")}
    head = {"network": network, **found.head, **of, "dense_us": whole}
    return witness_text(public.name.replace("_", "-"), head, found.kernels, _TITLE)


if __name__ == "__main__":
    for engine in ENGINES:
        (FOLDER / f"{engine.name}.toml").write_text(text(engine))
