"""Where `fetch.py` puts the packages' files, and everything else finds them."""

import os
from pathlib import Path

#: The variable is for whoever keeps the files elsewhere, to share them between checkouts.
FOLDER = Path(os.environ.get("REAL_NETWORKS") or Path(__file__).parent / "packages").absolute()


def fetched(name: str) -> Path:
    """A file or folder that was fetched; FileNotFoundError where it was not."""
    path = FOLDER / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `python benchmarks/real/fetch.py` first")
    return path
