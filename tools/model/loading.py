"""The model that a person names: `model.py[:name]`, `package.module:callable`, `.pt2`, `.onnx`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn
from torch.export import ExportedProgram

from sparqc.errors import UsageError
from sparqc.tools.model.functions import Evaluate, ModelFunctions, TensorBatch, TensorBatches
from sparqc.tools.model.keywords import by_position, positional_names
from sparqc.tools.model.program_file import read_program
from sparqc.tools.model.random_inputs import random_inputs
from sparqc.tools.model.source import open_file, open_package
from sparqc.tools.model.submodules import ModelRun, find, inputs_of
from sparqc.tools.model.user_code import shown

_KINDS = (
    "a model is model.py, model.py:function, package.module:function, a .pt2 file of "
    "torch.export.save, or an .onnx file"
)
_WEIGHTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


@dataclass(frozen=True)
class LoadedModel:
    """A model and what came with it; what an ONNX file does not offer is None."""

    spec: str
    kind: Literal["module", "program", "onnx"]
    #: Where the model lies; None for `package.module:function`.
    path: Path | None = None
    #: In evaluation mode; for a `.pt2` file the module of the program.
    module: nn.Module | None = None
    #: The exported program of a `.pt2` file.
    program: ExportedProgram | None = None
    #: Example inputs, in the order of the parameters of `forward`.
    inputs: TensorBatch | None = None
    #: Their keywords, where `forward` takes one of them by keyword alone.
    keywords: tuple[str, ...] = ()
    #: Gives the calibration batches anew at each call.
    calibration: TensorBatches | None = None
    #: Takes a function from input tensors to the output, gives figures by name.
    evaluate: Evaluate | None = None
    train: Callable[[nn.Module], object] | None = None
    #: The code that the model comes from, with what else it offers.
    functions: ModelFunctions | None = None


def load(
    spec: str,
    *,
    submodule: str | None = None,
    inputs: Sequence[str] = (),
    imported: Callable[[], object] = lambda: None,
) -> LoadedModel:
    """Load the model that `spec` names, running the code that it asks for and no other.

    `inputs` are the texts of `--input`, used instead of what the model offers.  With `submodule`
    the model is that part of it; its inputs and calibration batches are what the whole model feeds
    it.  Models with random weights get the same ones in every run.  `imported` is called once the
    code is imported, before it makes the model.

    Raises:
        UsageError: where `spec` names nothing that can be loaded, or a `--input` does not fit.
        SparqcError: where the file is damaged, or the code in it fails, with the place.
    """
    if spec.endswith(".onnx"):
        return _onnx(spec, submodule, inputs)
    if spec.endswith(".pt2"):
        return _program(spec, submodule, inputs)
    code = _open(spec)
    imported()
    return _module(spec, code, submodule, inputs)


def _open(spec: str) -> ModelFunctions:
    """The code that a spec names, loaded."""
    if found := re.fullmatch(r"(?P<path>.*\.py)(?::(?P<name>[^:/\\]*))?", spec):
        return open_file(_existing(found["path"]), found["name"] or "model")
    if spec.endswith(_WEIGHTS):
        hint = "write a model.py whose model() makes the network and loads these weights into it"
        raise UsageError(f"{spec} holds weights, not a model", hint=hint)
    module, colon, name = spec.rpartition(":")
    if not (colon and name and re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", module)):
        raise UsageError(f"{spec!r} names no model", hint=_KINDS)
    return open_package(module, name)


def _existing(text: str) -> Path:
    path = Path(text)
    if path.is_dir():
        raise UsageError(f"{text} is a folder", hint=_KINDS)
    if not path.exists():
        raise UsageError(f"{text} does not exist", hint=f"looked in {Path.cwd()}")
    if not path.is_file():  # a reader of a pipe may wait for ever
        raise UsageError(f"{text} is a pipe or a device, not a file", hint=_KINDS)
    return path


def _module(
    spec: str, code: ModelFunctions, submodule: str | None, inputs: Sequence[str]
) -> LoadedModel:
    module = code.make()
    if not inputs and not code.has_inputs:
        raise code.no_inputs()
    given = random_inputs(inputs, module) if inputs else code.example_inputs()
    example, keywords = by_position(module, given)
    names = keywords or positional_names(module)[: len(example)]
    calibration = code.calibration(len(example), names)
    if submodule:
        run = ModelRun(module, code.code, keywords)
        return _part(spec, code.path, run, submodule, example, calibration)
    return LoadedModel(
        spec,
        "module",
        code.path,
        module,
        inputs=example,
        keywords=keywords,
        calibration=calibration,
        evaluate=code.evaluate,
        train=code.train,
        functions=code,
    )


def _part(
    spec: str,
    file: Path | None,
    run: ModelRun,
    path: str,
    example: TensorBatch,
    calibration: TensorBatches | None,
) -> LoadedModel:
    part = find(run.module, path)
    inputs, keywords = next(inputs_of(run, path, example))

    def of_part() -> Iterator[TensorBatch]:
        for batch in calibration() if calibration else ():
            yield from (seen for seen, _ in inputs_of(run, path, batch))

    return LoadedModel(
        spec,
        "module",
        file,
        part,
        inputs=inputs,
        keywords=keywords,
        calibration=of_part if calibration else None,
    )


def _program(spec: str, submodule: str | None, inputs: Sequence[str]) -> LoadedModel:
    path = _existing(spec)
    if submodule:
        hint = "take the submodule before torch.export.save"
        raise UsageError("an exported program has no submodules any more", hint=hint)
    program = read_program(path)
    module = _module_of(program)
    given = random_inputs(inputs, module) if inputs else _stored_inputs(program)
    example = tuple(given.values()) if isinstance(given, dict) else given
    if example is None:
        hint = "describe each input: --input x:f32[8,3,224,224]"
        raise UsageError(f"{shown(path)} holds no example inputs", hint=hint)
    return LoadedModel(spec, "program", path, module, program, example)


def _module_of(program: ExportedProgram) -> nn.Module:
    module: nn.Module = program.module(check_guards=False)
    # The graph is of one mode. torch lets both methods raise; here they just change nothing.
    for method in ("train", "eval"):
        vars(module).pop(method, None)
    return module


def _stored_inputs(program: ExportedProgram) -> TensorBatch | None:
    args, kwargs = program.example_inputs or ((), {})
    return (*args, *kwargs.values()) or None


def _onnx(spec: str, submodule: str | None, inputs: Sequence[str]) -> LoadedModel:
    path = _existing(spec)
    for given, option in ((submodule, "--submodule"), (inputs, "--input")):
        if given:
            raise UsageError(f"{option} is for PyTorch models; {spec} is an ONNX file")
    return LoadedModel(spec, "onnx", path)
