"""The code of docs/training.md runs."""

import re
from pathlib import Path

import onnx
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def test_the_code_of_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert len(blocks) >= 5
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        code = compile("\n" * line + block.group(1), str(PAGE), "exec")
        exec(code, names)
    onnx.checker.check_model("model.onnx")
    assert callable(names["worker"])


@pytest.mark.parametrize("name", ["sparsify", "prepare", "finish", "masks", "bake"])
def test_what_the_page_names_is_there(name):
    import sparqc

    assert f"sparqc.{name}(" in PAGE.read_text() and callable(getattr(sparqc, name))
