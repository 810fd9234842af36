"""`python -m sparqc.tools.page.refresh`: fetch the libraries of `vendor/` again, through npm."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import click

from sparqc.tools.page.libraries import Library, libraries


def refresh(library: Library) -> None:
    """Replace the kept file and the licence by those of the version in `packages.toml`."""
    with tempfile.TemporaryDirectory() as made:
        wanted = f"{library.name}@{library.version}"
        command = ["npm", "pack", wanted, "--silent", "--pack-destination", made]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(made).glob("*.tgz")
        with tarfile.open(archive) as packed:
            packed.extractall(made, filter="data")
        stated = json.loads((Path(made) / "package" / "package.json").read_bytes())["license"]
        if stated != library.license:
            raise SystemExit(f"{wanted} has the licence {stated}: name it in packages.toml")
        library.folder.mkdir(exist_ok=True)
        for name in (library.file, "LICENSE"):
            shutil.copyfile(Path(made) / "package" / name, library.folder / Path(name).name)


if __name__ == "__main__":
    for found in libraries():
        refresh(found)
        click.echo(f"{found.name} {found.version}")
