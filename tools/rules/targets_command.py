"""`sparqc targets`: the target profiles that a model can be compiled for."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from sparqc.declared.targets import Profile, profiles
from sparqc.errors import UsageError, did_you_mean
from sparqc.tools.terminal import completion


@click.command("targets")
@click.argument("name", required=False, shell_complete=completion.targets)
@click.option("--json", "as_json", is_flag=True, help="Print the profiles as JSON.")
def targets_command(name: str | None, as_json: bool) -> None:
    """List the targets of `--target`, or show what is known of the target NAME."""
    known = profiles()
    if name is not None and name not in known:
        raise UsageError(f"there is no target {name!r}", hint=did_you_mean(name, known))
    shown = [known[name]] if name else list(known.values())
    if as_json:
        click.echo(json.dumps([asdict(p) for p in shown], indent=2))
    elif name:
        click.echo("\n".join(f"{k:<22}{_text(v)}" for k, v in asdict(known[name]).items()))
    else:
        click.echo("\n".join(map(_line, shown)))


def _line(profile: Profile) -> str:
    default = " (default)" if profile.default else ""
    return f"{profile.name:<14}opset {profile.opset:<4}{profile.doc}{default}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
