"""What a person can name as the model, and the sentence for each thing that can be wrong there."""

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.model.loading import LoadedModel, load

Write = Callable[..., str]

GOOD = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.body(x) * 2)

    def model():
        return Net()

    def example_inputs():
        return (torch.randn(5, 3),)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file into the working directory and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "model.py") -> str:
        (tmp_path / name).write_text(textwrap.dedent(text))
        return name

    return write


def refusal(spec: str, **options: object) -> SparqcError:
    with pytest.raises(SparqcError) as caught:
        load(spec, **options)
    return caught.value


# -- a file ------------------------------------------------------------------------------------


def test_a_file_with_a_model_and_example_inputs(write: Write) -> None:
    loaded = load(write(GOOD))
    assert loaded.kind == "module"
    assert [tuple(x.shape) for x in loaded.inputs] == [(5, 3)]
    assert loaded.calibration is loaded.evaluate is loaded.train is None


def test_the_model_comes_in_evaluation_mode(write: Write) -> None:
    assert not any(part.training for part in load(write(GOOD)).module.modules())


def test_random_weights_and_inputs_are_the_same_in_every_run(write: Write) -> None:
    name = write(GOOD)
    first = load(name)
    torch.manual_seed(12345)
    second = load(name)
    assert torch.equal(first.module.head.weight, second.module.head.weight)
    assert torch.equal(first.inputs[0], second.inputs[0])


def test_loading_leaves_the_random_numbers_of_the_caller_alone(write: Write) -> None:
    name = write(GOOD)
    torch.manual_seed(7)
    expected = torch.randn(3)
    torch.manual_seed(7)
    load(name)
    assert torch.equal(torch.randn(3), expected)


def test_another_function_may_give_the_model(write: Write) -> None:
    name = write(GOOD + "\n    def tiny():\n        return nn.Linear(3, 1)\n")
    assert isinstance(load(f"{name}:tiny").module, nn.Linear)


def test_a_model_may_be_a_module_instead_of_a_function(write: Write) -> None:
    text = GOOD.replace("def model():\n        return Net()", "model = Net()")
    assert isinstance(load(write(text)).module, nn.Module)


def test_files_beside_the_model_can_be_imported_while_it_loads(write: Write) -> None:
    write("WIDTH = 6", "widths.py")
    text = "from torch import nn, ones\nfrom widths import WIDTH\n"
    text += "def model(): return nn.Linear(WIDTH, 1)\n"
    text += "def example_inputs(): return (ones(1, WIDTH),)\n"
    before = list(sys.path)
    assert load(write(text)).module.in_features == 6
    assert sys.path == before


def test_a_second_model_does_not_get_the_files_beside_the_first(tmp_path: Path) -> None:
    text = "from torch import nn, ones\nfrom widths import WIDTH\n"
    text += "def model(): return nn.Linear(WIDTH, 1)\n"
    text += "def example_inputs(): return (ones(1, WIDTH),)\n"
    for width in (3, 4):
        folder = tmp_path / str(width)
        folder.mkdir()
        (folder / "widths.py").write_text(f"WIDTH = {width}")
        (folder / "model.py").write_text(text)
    loaded = [load(str(tmp_path / str(width) / "model.py")) for width in (3, 4)]
    assert [one.module.in_features for one in loaded] == [3, 4]


def test_calibration_evaluation_and_training_are_offered(write: Write) -> None:
    name = write(
        GOOD
        + """
    def calibration():
        for _ in range(2):
            yield [torch.randn(7, 3)]

    def evaluate(run):
        return {"mean": run(torch.ones(2, 3)).mean()}

    def train(module):
        module.trained = True
    """
    )
    loaded = load(name)
    first, again = list(loaded.calibration()), list(loaded.calibration())
    assert [tuple(x.shape) for batch in first for x in batch] == [(7, 3), (7, 3)]
    assert not torch.equal(first[0][0], first[1][0]), "the batches differ from one another"
    assert torch.equal(first[1][0], again[1][0]), "but not from run to run"
    loaded.train(loaded.module)
    assert loaded.module.trained


def test_evaluation_gives_figures_by_name(write: Write) -> None:
    text = '\n    def evaluate(run):\n        return {"sum": float(run(torch.ones(2)).sum())}\n'
    evaluate = load(write(GOOD + text)).evaluate
    assert evaluate(lambda x: x * 3) == {"sum": 6.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def model(:\n    pass", ["model.py:1:11: model.py is no Python", "def model(:", "^"]),
        ("import torch\nx = 1", ["model.py has no 'model'", "has to offer `def model():`"]),
        ("def modle(): pass", ["has no 'model'", "did you mean 'modle'?"]),
        ("model = 3", ["'model' of model.py is a int, not a function"]),
        ("def model():\n    return 3", ["model.py:1:1", "returned int, not a torch.nn.Module"]),
        ("1 / 0", ["model.py:1:1", "running model.py raised ZeroDivisionError"]),
        ("def model():\n    return {}[7]", ["model.py:2:12", "raised KeyError: 7", "{}[7]"]),
        ("import sys\nsys.exit(3)", ["model.py:2:1", "raised SystemExit: 3"]),
        ("import nowhere_to_be_found", ["raised ModuleNotFoundError", "install the package"]),
        ("x = '\0'", ["model.py is no Python"]),
    ],
)
def test_what_is_wrong_with_the_model(write: Write, text: str, says: list[str]) -> None:
    name = write(text)
    shown = str(refusal(name))
    assert all(part in shown for part in says), shown
    assert "Traceback" not in shown


def test_the_place_is_the_deepest_line_of_the_user(write: Write) -> None:
    write("import torch\ndef build():\n    return torch.ones(2).reshape(3)\n", "building.py")
    text = "from building import build\ndef model():\n    return build()\n"
    error = refusal(write(text))
    assert str(error.span) == "building.py:3:12"
    assert "model() of model.py raised RuntimeError" in error.message


def test_a_syntax_error_in_a_file_beside_the_model(write: Write) -> None:
    write("def build(:\n", "broken.py")
    assert refusal(write("import broken")).span.file == "broken.py"


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("torch.ones(2, 3)", "returned Tensor, not a tuple of tensors"),
        ("(torch.ones(2, 3), 4)", "returned (Tensor, int), not a tuple of tensors"),
        ("()", "returned (), not a tuple of tensors"),
        ("None", "returned NoneType, not a tuple of tensors"),
        ("1 / 0", "raised ZeroDivisionError"),
    ],
)
def test_wrong_example_inputs(write: Write, returned: str, says: str) -> None:
    error = refusal(write(GOOD.replace("(torch.randn(5, 3),)", returned)))
    assert says in str(error)
    assert error.span.file == "model.py"


def test_no_example_inputs(write: Write) -> None:
    error = refusal(write(GOOD.replace("example_inputs", "something_else")))
    assert "offers no example inputs" in str(error)
    assert error.exit_code == 2


def test_described_inputs_replace_those_of_the_model(write: Write) -> None:
    loaded = load(write(GOOD), inputs=["9x3"])
    assert [tuple(x.shape) for x in loaded.inputs] == [(9, 3)]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return 3", "raised TypeError: 'int' object is not iterable"),
        ("yield torch.ones(1, 3)", "gave as batch 1 Tensor, not a tuple of tensors"),
        ("yield torch.ones(1, 3), torch.ones(1)", "gave 2 tensors as batch 1; the model takes 1"),
        ("yield (torch.ones(1, 3),); raise OSError('no disk')", "raised OSError: no disk"),
    ],
)
def test_wrong_calibration_data(write: Write, body: str, says: str) -> None:
    loaded = load(write(GOOD + f"\n    def calibration():\n        {body}\n"))
    with pytest.raises(SparqcError, match="calibration") as caught:
        list(loaded.calibration())
    assert says in str(caught.value)


def test_an_evaluation_with_something_else_among_its_figures(write: Write) -> None:
    loaded = load(write(GOOD + '\n    def evaluate(run):\n        return {"top-1": "91.8"}\n'))
    with pytest.raises(SparqcError, match="returned 'top-1': str, not figures by name"):
        loaded.evaluate(lambda *inputs: inputs[0])


def test_an_evaluation_without_figures(write: Write) -> None:
    loaded = load(write(GOOD + "\n    def evaluate(run):\n        return 91.8\n"))
    with pytest.raises(SparqcError, match="returned float, not figures by name"):
        loaded.evaluate(lambda x: x)


# -- a submodule -------------------------------------------------------------------------------


def test_a_submodule_with_what_the_model_feeds_it(write: Write) -> None:
    text = GOOD + "\n    def calibration():\n        yield (torch.ones(2, 3),)\n"
    whole, part = load(write(text)), load("model.py", submodule="head")
    assert isinstance(part.module, nn.Linear)
    expected = whole.module.body(whole.inputs[0]) * 2
    torch.testing.assert_close(part.inputs[0], expected)
    assert [tuple(x.shape) for batch in part.calibration() for x in batch] == [(2, 4)]


def test_an_unknown_submodule(write: Write) -> None:
    error = refusal(write(GOOD), submodule="haed")
    assert "did you mean 'head'?" in str(error)
    error = refusal(write(GOOD), submodule="qqqq")
    assert error.hint and "known: " in error.hint and "known: ," not in error.hint


def test_a_submodule_that_is_not_called(write: Write) -> None:
    text = GOOD.replace("self.head(self.body(x) * 2)", "self.body(x)")
    assert "does not call its submodule 'head'" in str(refusal(write(text), submodule="head"))


def test_a_submodule_that_takes_other_things_than_tensors(write: Write) -> None:
    text = GOOD.replace("self.head(self.body(x) * 2)", "self.scale(x, 2)").replace(
        "class Net",
        "class Scale(nn.Module):\n        def forward(self, x, by):\n            return x * by\n\n"
        "    class Net",
    )
    text = text.replace("self.head = nn.Linear(4, 2)", "self.scale = Scale()")
    assert "with (Tensor, int), not with tensors" in str(refusal(write(text), submodule="scale"))


@pytest.mark.parametrize("call", ["self.scale(x, by=x)", "self.scale(by=x, x=x)"])
def test_a_submodule_that_takes_a_tensor_by_keyword_alone(write: Write, call: str) -> None:
    text = GOOD.replace("self.head(self.body(x) * 2)", call).replace(
        "class Net",
        "class Scale(nn.Module):\n        def forward(self, x, *, by):\n            return x * by"
        "\n\n"
        "    class Net",
    )
    text = text.replace("self.head = nn.Linear(4, 2)", "self.scale = Scale()")
    part = load(write(text), submodule="scale")
    assert part.keywords == ("x", "by") and len(part.inputs) == 2


# -- an installed module -----------------------------------------------------------------------


def test_a_callable_of_a_package() -> None:
    loaded = load("torchvision.models:resnet18", inputs=["x:f32[2,3,32,32]"])
    again = load("torchvision.models:resnet18", inputs=["2x3x32x32"])
    assert torch.equal(loaded.module.conv1.weight, again.module.conv1.weight)
    assert torch.equal(loaded.inputs[0], again.inputs[0])
    assert loaded.path is None


def test_a_module_in_the_working_directory(write: Write) -> None:
    write(GOOD, "my_net.py")
    assert load("my_net:Net", inputs=["2x3"]).kind == "module"
    sys.modules.pop("my_net")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("nowhere_to_be_found.models:net", "'nowhere_to_be_found' is not installed"),
        ("torch.nnn:Linear", "there is no module 'torch.nnn'"),
        ("torch.nn:Linaer", "did you mean 'Linear'"),
        ("torch.nn:__name__", "is a str, not a function"),
        ("torch.nn:Linear", "torch.nn:Linear() raised TypeError"),
        ("collections:Counter", "returned Counter, not a torch.nn.Module"),
        ("torch.nn:ReLU", "describe each input: --input x:f32[8,3,224,224]"),
    ],
)
def test_what_is_wrong_with_a_package(spec: str, says: str) -> None:
    assert says in str(refusal(spec))


def test_a_package_whose_import_fails(write: Write) -> None:
    write("import torch\ntorch.ops.torchvision.no_such_operator\n", "breaking.py")
    write("raise RuntimeError('operator torchvision::nms does not exist')", "vision.py")
    assert "importing breaking raised AttributeError" in str(refusal("breaking:net"))
    error = refusal("vision:net")
    assert str(error.span) == "vision.py:1:1"
    assert f"install the one built for torch {torch.__version__}" in error.hint


# -- other kinds -------------------------------------------------------------------------------


def test_an_onnx_file_is_named_and_not_read(write: Write) -> None:
    loaded = load(write("not looked into", "net.onnx"))
    assert loaded == LoadedModel("net.onnx", "onnx", Path("net.onnx"))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("missing.py", "missing.py does not exist"),
        ("missing.onnx", "missing.onnx does not exist"),
        ("missing.pt2", "missing.pt2 does not exist"),
        ("weights.pt", "holds weights, not a model"),
        ("weights.safetensors", "holds weights, not a model"),
        ("resnet50", "names no model"),
        ("a b:c", "names no model"),
        ("", "names no model"),
    ],
)
def test_a_spec_that_names_nothing(write: Write, spec: str, says: str) -> None:
    error = refusal(spec)
    assert isinstance(error, UsageError)
    assert says in str(error)


def test_options_that_do_not_fit_the_kind(write: Write) -> None:
    name = write("", "net.onnx")
    assert "--submodule is for PyTorch models" in str(refusal(name, submodule="head"))
    assert "--input is for PyTorch models" in str(refusal(name, inputs=["8x3"]))


# -- inputs by keyword -------------------------------------------------------------------------

KEYWORDS = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 4)

        def forward(self, x, *, factor):
            return self.inner(x * factor)

    def model():
        return Net()

    def example_inputs():
        return {"factor": torch.ones(5, 1), "x": torch.randn(5, 3)}

    def calibration():
        yield {"x": torch.zeros(2, 3), "factor": torch.ones(2, 1)}
        yield torch.zeros(2, 3), torch.ones(2, 1)
"""


def test_inputs_by_keyword_stand_in_the_order_of_forward(write: Write) -> None:
    loaded = load(write(KEYWORDS))
    assert loaded.keywords == ("x", "factor")
    assert [tuple(x.shape) for x in loaded.inputs] == [(5, 3), (5, 1)]
    assert [[tuple(x.shape) for x in batch] for batch in loaded.calibration()] == [
        [(2, 3), (2, 1)]
    ] * 2
    part = load("model.py", submodule="inner")
    assert part.keywords == () and tuple(part.inputs[0].shape) == (5, 3)


def test_a_dict_that_needs_no_keywords_is_a_tuple(write: Write) -> None:
    loaded = load(write(GOOD.replace("(torch.randn(5, 3),)", '{"x": torch.randn(5, 3)}')))
    assert loaded.keywords == () and tuple(loaded.inputs[0].shape) == (5, 3)


def test_a_batch_with_other_names_is_refused(write: Write) -> None:
    text = KEYWORDS.replace('yield {"x"', 'yield {"labels"')
    with pytest.raises(SparqcError, match="tensors for labels, factor; the model takes x, factor"):
        list(load(write(text)).calibration())
    message = str(refusal(write(KEYWORDS.replace('"x": torch.r', '"y": torch.r'))))
    assert "does not take the example inputs factor, y by keyword" in message


def test_an_input_of_noise_by_keyword(write: Write) -> None:
    given = ["factor:f32[5,1]", "x:f32[5,3]"]
    loaded = load(write(KEYWORDS), inputs=given)
    assert loaded.keywords == ("x", "factor") and tuple(loaded.inputs[1].shape) == (5, 1)
    assert "has no name" in str(refusal("model.py", inputs=["5x3", "factor:f32[5,1]"]))
