"""Which release of a compiler built an engine, in the words of a person or of a listing."""

from __future__ import annotations

import re

from sparqc.declared.targets import profiles
from sparqc.errors import UsageError
from sparqc.predict.witnesses import VERSION


def built_with(version: str, target: str) -> str:
    """The number in `TensorRT 10.3`, `v8.6.1` or `10.3`.

    Raises UsageError where there is none, and where it is another major release than that of the
    target that the prediction is for.
    """
    *named, number = version.split() or [""]
    number = number.removeprefix("v")
    if not number:
        raise UsageError(
            "--learn has to know which version of the compiler built the engine, and the listing "
            "does not say it",
            hint="name it: --built-with 10.3",
        )
    if not VERSION.fullmatch(number):
        raise UsageError(
            f"--built-with {version}: that is no version of a compiler",
            hint="write its number, such as 10.3 or 8.6.1",
        )
    known = {name: release(found.compiler) for name, found in profiles().items()}
    compiler = " ".join(named) or known[target][0]
    major = number.partition(".")[0]
    fitting = [n for n, (name, m) in known.items() if name == compiler and m in ("", major)]
    if target not in fitting:
        give = f"give --target {' or '.join(fitting)}"
        none = f"there is no target for it: known are {', '.join(known)}"
        raise UsageError(
            f"the engine was built with {compiler} {number}, and the prediction is for {target}",
            hint=give if fitting else none,
        )
    return number


def release(compiler: str) -> tuple[str, str]:
    """What people call a compiler, and its major release, "" where its name says none."""
    found = re.fullmatch(r"(.*?)(?:\s+([0-9]+)[0-9.]*)?", compiler)
    return (found[1], found[2] or "") if found else (compiler, "")
