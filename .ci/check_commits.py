"""Hold the subjects of commits to CONTRIBUTING's rule.

    python .ci/check_commits.py          # every commit after FIRST (make lint)
    python .ci/check_commits.py FILE     # the message in a file (pre-commit's commit-msg hook)

A subject is one line of at most 72 characters, begins with a verb in the imperative and has no
full stop; an empty line parts it from the text.  Commits up to FIRST were made before the rule was
held by anything.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FIRST = "f1c48d35a7670ccc48e104b7cf428216e8553faf"
LONGEST = 72
#: "Added", "Adds", "Adding", "The", "A": what an imperative does not look like.  Verbs that end in
#: these letters all the same are listed.
NOT_IMPERATIVE = re.compile(r"(the|a|an|some|all|now|\w+ed|\w+[^s]s|\w+ing)", re.IGNORECASE)
IMPERATIVE = {"embed", "feed", "need", "seed", "shed", "speed", "bring", "string", "focus", "bias"}
#: The part that a commit is about, which may stand in front: "docs: Say how".
PREFIX = re.compile(r"[a-z]+(\([\w-]+\))?: ")
#: What git itself writes.
BY_GIT = re.compile(r"(Merge|Revert|fixup!|squash!|amend!) ")


def faults(message: str) -> Iterator[str]:
    """What is wrong with a commit message."""
    subject, *rest = message.rstrip().split("\n")
    if BY_GIT.match(subject):
        return
    if len(subject) > LONGEST:
        yield f"the subject has {len(subject)} characters, at most {LONGEST} are allowed"
    if subject.endswith("."):
        yield "the subject ends on a full stop"
    first = re.split(r"\W", PREFIX.sub("", subject))[0]
    if not first or (NOT_IMPERATIVE.fullmatch(first) and first.lower() not in IMPERATIVE):
        yield f"the subject begins with {first!r}, not with a verb in the imperative (Add, Fold)"
    if rest and rest[0]:
        yield "no empty line stands behind the subject"


def messages() -> dict[str, str]:
    """Short hash -> message of each commit after FIRST; none outside of a full clone."""
    log = ["git", "log", "--no-merges", "--format=%h%x00%B%x01", f"{FIRST}..HEAD"]
    done = subprocess.run(log, text=True, capture_output=True, check=False)
    entries = (entry.strip().split("\0") for entry in done.stdout.split("\1") if entry.strip())
    return {entry[0]: entry[1] for entry in entries}


def main(arguments: list[str]) -> int:
    """The exit code: 1 where a message breaks the rule."""
    found = messages() if not arguments else {arguments[0]: _text(Path(arguments[0]))}
    broken = [f"{name}: {fault}" for name, text in found.items() for fault in faults(text)]
    for line in broken:
        print(line, file=sys.stderr)
    return bool(broken)


def _text(file: Path) -> str:
    """The message without git's own comments."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
