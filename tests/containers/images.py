"""Makes the machine able to run containers, and builds the images: the only part that reaches beyond this machine.

What pip is told on this machine holds in the build too: its settings, the folders of wheels that they name, and its
certificates. None of it gets into the image.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.containers.telling import Failed, Unable, output_of, tell

REPOSITORY = Path(__file__).parents[2]
DOCKER = REPOSITORY / "docker"
IMAGE = "localhost/lrsweep:try"
CERTIFICATES = "/etc/pip-certificates.crt"
BUILD_SECONDS = 3000.0
"""PyTorch for CUDA is 5 GB to fetch, and with storage that copies every layer to write several times."""
NEEDED_BYTES = 15 * 2**30
WHEEL = re.compile(r"torch-(?P<version>[0-9.]+)\+cpu-cp311-.*\.whl")
"""A build of PyTorch for the CPU, for the Python of the image."""
PASSED_ON = ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "default-timeout")


@dataclass(frozen=True)
class Machine:
    """What can run containers; everything that it keeps is in ``folder``."""

    folder: Path
    environ: Mapping[str, str]


def make_able(folder: Path) -> Machine:
    """Raises Unable where this machine cannot: another user than root, no packages, too little room."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise Unable(
            f"{free / 2**30:.0f} GB are free in {folder}; images and their build need {NEEDED_BYTES / 2**30:.0f}"
        )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LRSWEEP_", "MLFLOW_"))}
    try:
        tell(output_of([DOCKER / "machine.sh", folder], environ=environ, folder=REPOSITORY, seconds=900).strip())
    except Failed as error:
        raise Unable(str(error)) from None
    with_settings = output_of(["bash", "-c", f". '{folder}/environment' && env -0"], environ=environ, folder=folder)
    pairs = (each.partition("=") for each in with_settings.split("\0") if each)
    return Machine(folder, {name: value for name, _, value in pairs})


def build(machine: Machine, torch: str | None, *, is_small: bool = False) -> None:
    """The image, with this PyTorch, or with a CPU build that pip's own folders hold, or as constraints.txt says.

    Raises Unable where it has to be ``is_small`` and would hold the last of these, which is PyTorch for CUDA.
    """
    given = _pip_settings(machine.environ)
    torch = torch or wheel_for_the_cpu(given) or ""
    if is_small and not torch:
        raise Unable("pip's folders hold no build of PyTorch for the CPU, and that for CUDA is 5 GB")
    tell(f"PyTorch: {torch or 'as constraints.txt says'}")
    arguments = ["--build-arg", f"TORCH={torch}", "--build-arg", "VERSION=try"]
    mounts = [*_mounts(machine, given)]
    _build(machine, "Dockerfile", IMAGE, [*arguments, *(word for mount in mounts for word in ("--volume", mount))])


def build_postgres(machine: Machine, image: str) -> None:
    """Pulls the public image, or builds a stand-in from Debian's package under its name."""
    try:
        output_of(["podman", "pull", "--quiet", image], environ=machine.environ, folder=REPOSITORY, seconds=300)
    except Failed:
        tell(f"{image} cannot be pulled here: a stand-in from Debian's package takes its name")
        _build(machine, "postgres-stand-in.Dockerfile", image, [])


def _build(machine: Machine, file: str, image: str, arguments: list[str]) -> None:
    # as Docker writes images: OCI's own format has no place for a health check
    command = ["buildah", "bud", "--format", "docker", "--network", "host", "--file", f"docker/{file}", "--tag", image]
    if 'driver = "overlay"' in (machine.folder / "storage.conf").read_text():  # else each layer is a whole copy
        command.append("--layers")
    output_of(
        [*command, *arguments, "."],
        environ=machine.environ,
        folder=REPOSITORY,
        seconds=BUILD_SECONDS,
        log=machine.folder / f"{file}.log",
    )


def size_of_image(machine: Machine) -> int:
    command = ["podman", "image", "inspect", "--format", "{{.Size}}", IMAGE]
    return int(output_of(command, environ=machine.environ, folder=REPOSITORY))


# ── what pip is told ─────────────────────────────────────────────────────────────────────────────────────────────────
def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """By name; the environment's win, as pip itself has it."""
    listed = output_of([sys.executable, "-m", "pip", "config", "list"], environ=environ, folder=REPOSITORY)
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        found[name.rpartition(".")[2]] = value.strip("'")
    return found


def wheel_for_the_cpu(settings: Mapping[str, str]) -> str | None:
    """``torch==2.13.0``, where a folder that pip looks in holds such a file; the newest of several."""
    names = [file.name for folder in _folders(settings.get("find-links", "")) for file in folder.iterdir()]
    versions = [found["version"] for name in names if (found := WHEEL.fullmatch(name))]
    newest = max(versions, key=lambda version: [int(part) for part in version.split(".")], default=None)
    return newest and f"torch=={newest}"


def _folders(words: str) -> Iterator[Path]:
    for word in words.split():
        folder = Path(word.removeprefix("file://"))
        if folder.is_absolute() and folder.is_dir():
            yield folder


def _mounts(machine: Machine, settings: Mapping[str, str]) -> Iterator[str]:
    """pip's settings for the build, and every place on this machine that they name."""
    lines = ["[global]", *(f"{name} = {settings[name]}" for name in PASSED_ON if settings.get(name))]
    if certificates := settings.get("cert"):
        lines.append(f"cert = {CERTIFICATES}")
        yield f"{certificates}:{CERTIFICATES}:ro"
    file = machine.folder / "pip.conf"
    file.write_text("\n".join([*lines, ""]))
    yield f"{file}:/etc/pip.conf:ro"
    for name in ("find-links", "index-url", "extra-index-url"):
        for folder in _folders(settings.get(name, "")):
            # an index names its files by paths beside it
            mounted = folder if name == "find-links" else folder.parent
            yield f"{mounted}:{mounted}:ro"
