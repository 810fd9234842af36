"""The pages of docs/training/ run from top to bottom."""

import importlib.util
import re

import onnx
import pytest
import torch

from tests.processes import torchrun
from tests.test_rooms import ROOT

FOLDER = ROOT / "docs" / "training"
#: What each page needs beside sparqc, and whether it ends with a file.
PAGES = {
    "accelerate": (["accelerate"], True),
    "asp": ([], False),
    "lightning": (["lightning"], True),
    "timm": (["timm"], True),
    "transformers": (["transformers", "accelerate"], True),
}


def blocks(page: str) -> list[tuple[int, str]]:
    """The Python code of a page: the lines in front of each block, and the block."""
    text = (ROOT / "docs" / page).read_text()
    found = re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, block.start(1)), block.group(1)) for block in found]


def run(page: str, names: dict[str, object], count: int | None = None) -> None:
    for line, code in blocks(page)[:count]:
        exec(compile("\n" * line + code, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore")  # of the libraries, about themselves
def test_a_page_runs(page, tmp_path, monkeypatch):
    needed, writes = PAGES[page]
    for library in needed:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    run("training.md", names, count=1)  # the model and its data
    torch.manual_seed(0)
    run(f"training/{page}.md", names)
    if writes:
        onnx.checker.check_model("model.onnx")


def test_the_page_on_fsdp2_runs_in_two_processes(tmp_path):
    script = tmp_path / "script.py"
    end = "from tests.processes import leave\nleave()\n"
    script.write_text("\n".join([code for _, code in blocks("training/fsdp2.md")] + [end]))
    done = torchrun(str(script), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    onnx.checker.check_model(str(tmp_path / "model.onnx"))


def test_every_page_is_run():
    assert sorted(page.stem for page in FOLDER.glob("*.md")) == sorted([*PAGES, "fsdp2"])
