"""The page on what bears the claims out says what the prediction says now."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def truth():
    """The script; its folders are where its modules are found."""
    known = {*sys.modules}
    sys.path[:0] = [str(FOLDER), str(FOLDER / "engines")]
    try:
        import truth

        yield truth
    finally:
        sys.path[:] = [p for p in sys.path if not p.startswith(str(FOLDER))]
        for name in {"truth", "times", "networks", "rtx_agreement"} - known:
            sys.modules.pop(name, None)


def test_the_page_is_up_to_date(truth, monkeypatch):
    """Otherwise: python benchmarks/truth.py; what is built for it, tests/agreement builds."""
    written = truth.PAGE.read_text()
    _head, rest = written.split("## INT8 layers in TensorRT-RTX\n\n")
    built, _end = rest.split("\n## Sparse kernels", 1)
    monkeypatch.setattr(truth, "_rtx", lambda: iter(built.splitlines()))
    assert truth.page() == written
    alike, _, count, *_ = built.split()
    assert alike == count and int(count) >= 80


@pytest.mark.parametrize("line", ["1. A fact.", "1. A fact. X", "1. A fact, D"])
def test_a_fact_without_a_mark_is_refused(truth, line, tmp_path, monkeypatch):
    page = tmp_path / "facts.md"
    page.write_text(f"## 3. Placement\n{line}\n")
    monkeypatch.setattr(truth, "FACTS", page)
    with pytest.raises(SystemExit, match="no mark"):
        list(truth.facts())


def test_a_fact_is_cut_to_its_first_sentence(truth, tmp_path, monkeypatch):
    page = tmp_path / "facts.md"
    page.write_text("## 3. Placement\n2. **Bias**: `float`, [no Q](x.md). Never. D, O; of that -\n")
    monkeypatch.setattr(truth, "FACTS", page)
    assert list(truth.facts()) == ["| §3.2 | Bias: float, no Q | D, O; of that - |"]
