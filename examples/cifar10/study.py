"""The case study: a CIFAR-10 ResNet in FP32, INT8 and sparse INT8, against a control.

python examples/cifar10/study.py --data package --runs runs --seeds 0 1 2

`--data` is the folder that `images.py` says how to get.  Every trained network is kept in `--runs`,
and so is every figure: a study that was killed goes on where it was.  On a GPU the same script
trains ResNet-34: `--resnet34 --epochs 100 --device cuda`.

All rows that are trained get the same extra epochs, first `--more`, then `--last`, each with a
learning rate that rises and falls to zero:

    dense -> more, dense  -> last, dense: the control, and the FP32 row of the dense column
                          -> last, dense INT8 (QAT)
          -> more, sparse -> last, sparse
                          -> last, sparse INT8 (QAT)
"""

import argparse
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from images import Split, normalize, read_test, read_training
from network import RESNET34, ResNet, Size
from torch import Tensor, nn
from training import Recipe, accuracy, fit

import sparqc

#: Training images on which ranges are measured and weights repaired.
CALIBRATION = 1024

#: Rows that are made of the control without any training: their pipelines.
ONE_SHOT = {
    "one-shot sparse INT8, magnitude alone": "all-sparse,-reestimate",
    "one-shot sparse INT8, magnitude": "all-sparse",
    "one-shot sparse INT8, permuted": "all-sparse,+prune{method=permuted}@instead=prune",
    "one-shot sparse INT8, repaired": "one-shot,+prune{method=sparsegpt}@instead=prune",
}


@dataclass(frozen=True)
class Study:
    """The study for one seed."""

    training: Split
    test: Split
    folder: Path
    size: Size
    dense: Recipe
    more: Recipe
    last: Recipe
    device: str

    def run(self) -> None:
        """Train what is not trained yet, and measure what is not measured yet."""
        dense = self.trained("dense", self.fresh(), self.dense)
        self.row("dense FP32, before the extra epochs", lambda: accuracy(dense, self.test))
        more = self.trained("dense-more", self.copy(dense), self.more)
        control = self.trained("control", self.copy(more), self.last)
        self.row("dense FP32 (control)", lambda: accuracy(control, self.test))
        self.row("dense INT8 PTQ", lambda: self.compiled(control, "int8"))
        for name, passes in ONE_SHOT.items():
            self.row(name, lambda passes=passes: self.compiled(control, passes))
        self.row("dense INT8 QAT", lambda: self.tuned("dense-qat", more, "int8"))

        more_sparse = self.trained("sparse-more", self.sparse(dense), self.more)
        sparse = self.trained("sparse", deepcopy(more_sparse), self.last)
        self.row("sparse FP32", lambda: accuracy(sparse, self.test))
        self.row("sparse INT8 PTQ", lambda: self.compiled(sparse, "all-sparse,-reestimate"))
        self.row("sparse INT8 QAT", lambda: self.tuned("sparse-qat", more_sparse, "all-sparse"))

    # -- networks -------------------------------------------------------------------------------

    def fresh(self) -> ResNet:
        """An untrained network."""
        torch.manual_seed(self.dense.seed)
        net = ResNet(self.size).to(self.device)
        return net.to(memory_format=torch.channels_last)

    def copy(self, net: nn.Module) -> ResNet:
        """A dense network with the weights of another one."""
        copy = self.fresh()
        copy.load_state_dict(net.state_dict())
        return copy

    def sparse(self, net: nn.Module) -> nn.Module:
        """A copy that is masked 2:4, whatever trains it, with BatchNorms measured anew."""
        return sparqc.sparsify(
            self.copy(net), self.example(), calibration=self.calibration, passes="all-sparse"
        )

    def trained(self, name: str, net: nn.Module, recipe: Recipe) -> nn.Module:
        """The network after training, or as it was kept."""
        fit(net, self.training, recipe, self.folder / f"{name}.safetensors")
        return net.eval()

    # -- figures --------------------------------------------------------------------------------

    def row(self, name: str, measure: Callable[[], float]) -> None:
        """Measure a figure once, and keep it."""
        path = self.folder / "top1.json"
        rows = json.loads(path.read_text()) if path.exists() else {}
        if name not in rows:
            rows[name] = round(measure(), 2)
            path.write_text(json.dumps(rows, indent=2))
        print(f"seed {self.dense.seed}: {rows[name]:.2f} % {name}", flush=True)

    def compiled(self, net: nn.Module, passes: str) -> float:
        """Top-1 of the ONNX file that a pipeline makes of the network."""
        made = sparqc.compile(
            net.cpu().eval(), self.example(), calibration=self.calibration, passes=passes
        )
        return self.onnx_accuracy(made)

    def tuned(self, name: str, net: nn.Module, passes: str) -> float:
        """Top-1 of the ONNX file after the last epochs with quantizers in the network."""
        prepared = sparqc.prepare(
            net.cpu().eval(), self.example(), calibration=self.calibration, passes=passes
        )
        prepared.to(self.device, memory_format=torch.channels_last)
        trained = self.trained(name, prepared, self.last)
        return self.onnx_accuracy(sparqc.finish(trained.cpu()))

    def onnx_accuracy(self, made: sparqc.Compiled) -> float:
        """Top-1 on all test images in onnxruntime, in percent."""
        session = onnxruntime.InferenceSession(
            made.model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        (slot,) = session.get_inputs()
        guesses = [
            session.run(None, {slot.name: normalize(part).contiguous().numpy()})[0].argmax(1)
            for part in self.test.images.split(500)
        ]
        return 100.0 * float((np.concatenate(guesses) == self.test.labels.numpy()).mean())

    def example(self) -> tuple[Tensor, ...]:
        """Two training images."""
        return (normalize(self.training.images[:2]),)

    def calibration(self) -> Iterator[tuple[Tensor, ...]]:
        """Training images, as they are."""
        for part in self.training.images[:CALIBRATION].split(128):
            yield (normalize(part).contiguous(),)


def main() -> None:
    parser = argparse.ArgumentParser(description="The CIFAR-10 case study.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the PNG sheets")
    parser.add_argument("--runs", type=Path, required=True, help="folder for networks and figures")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=18, help="of the dense network")
    parser.add_argument("--more", type=int, default=4, help="extra epochs, dense or sparse")
    parser.add_argument("--last", type=int, default=1, help="extra epochs behind them, or QAT")
    parser.add_argument("--resnet34", action="store_true", help="instead of the thin ResNet")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    training, test = read_training(options.data), read_test(options.data)
    size = RESNET34 if options.resnet34 else Size()
    for seed in options.seeds:
        dense = Recipe(epochs=options.epochs, seed=seed)
        # Other seeds, so that the extra epochs do not repeat the order of the first ones.
        more = replace(dense, epochs=options.more, learning_rate=0.05, seed=seed + 100)
        last = replace(dense, epochs=options.last, learning_rate=0.01, seed=seed + 200)
        folder = options.runs / f"seed{seed}"
        Study(training, test, folder, size, dense, more, last, options.device).run()


if __name__ == "__main__":
    main()
