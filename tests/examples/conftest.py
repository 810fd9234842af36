"""Loads an example's file the way a person's own model.py is loaded: by its path."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """`load("fashion_mnist/train.py")`: the module, with its own folder first on the path."""

    def load_file(name: str) -> ModuleType:
        path = EXAMPLES / name
        # Each example calls its file model.py, so no test may see another's.
        monkeypatch.delitem(sys.modules, "model", raising=False)
        monkeypatch.syspath_prepend(str(path.parent))
        spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load_file
