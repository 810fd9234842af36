"""The name of a pattern file: its rules are a pass of that name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from sparqc.errors import PatternError
from sparqc.lang.ast import PatternFile, RuleDecl
from sparqc.lang.check.findings import Findings

_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: Words with a meaning of their own in a pipeline.
RESERVED = frozenset({"repeat", "true", "false", "none"})


def pass_name(file: PatternFile) -> str:
    """The name of the pass that a pattern file makes: `my_rules.spq` is `my-rules`."""
    return PurePosixPath(file.path).stem.replace("_", "-").lower()


def may_name_a_pass(name: str) -> bool:
    """Whether a pass may have the name: kebab-case, and no word of a pipeline."""
    return _KEBAB.fullmatch(name) is not None and name not in RESERVED


def check_file_name(file: PatternFile) -> Findings:
    """The finding that the rules of a file can be no pass, since its name is none."""
    rule = next((d for d in file.declarations if isinstance(d, RuleDecl)), None)
    name = pass_name(file)
    if rule is None or not file.path.endswith(".spq") or may_name_a_pass(name):
        return
    yield PatternError(
        f"the rules of this file would be the pass {name!r}, which is no name of a pass",
        span=rule.span,
        hint="rename the file: letters, digits and _, a letter first, such as my_rules.spq",
    )
