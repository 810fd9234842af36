"""Write the table of docs/survival.md anew: what other tools leave of a compiled file.

    python benchmarks/survival_table.py

Takes about a minute on two cores, without a GPU; needs the development tools (`make test` installs
them).  tests/survival holds the networks, the tools and what is measured, and tests the same table.
"""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
logging.disable(logging.WARNING)

from tests.survival.table import PAGE, page  # noqa: E402


def main() -> None:
    """Replace the table in the page."""
    PAGE.write_text(page(PAGE.read_text()))
    print(f"wrote the table in {PAGE}")


if __name__ == "__main__":
    main()
