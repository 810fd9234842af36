"""The links in the Markdown files lead somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def documents() -> list[Path]:
    """The pages at the top, in docs/, and in the example and benchmark folders."""
    folders = (ROOT / name for name in ("docs", "examples", "benchmarks"))
    return sorted([*ROOT.glob("*.md"), *(page for f in folders for page in f.rglob("*.md"))])


def links(text: str) -> list[str]:
    """Targets of the relative links outside of code blocks."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [target for target in LINK.findall(prose) if "://" not in target]


def test_links_are_found() -> None:
    text = "a [page](docs/a.md#part) and [another](b.md)\n```\n[no](c.md)\n```\n[web](https://d.e)"
    assert links(text) == ["docs/a.md", "b.md"]


def test_relative_links_lead_to_a_file() -> None:
    broken = [
        f"{page.relative_to(ROOT)} links to {target}, which does not exist"
        for page in documents()
        for target in links(page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)
