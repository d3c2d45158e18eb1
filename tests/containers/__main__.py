"""Builds the images, runs the whole stack, breaks it, restores it, and leaves nothing: ``docker/try.sh``.

Everything is real: the image, PostgreSQL, MLflow's server, the service, a worker, and `make up` and `make down` as a
person types them. The standard library alone, so that it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.containers import images, trial
from tests.containers.images import DOCKER, Machine
from tests.containers.stack import Stack
from tests.containers.telling import Failed, Unable, complain, output_of, step, tell


def main(given: list[str] | None = None) -> int:
    asked = _asked(given)
    asked.folder.mkdir(parents=True, exist_ok=True)
    folder = asked.again or Path(tempfile.mkdtemp(prefix="lrsweep-try-", dir=asked.folder))
    began = time.monotonic()
    stack = None
    try:
        with step("makes this machine able to run containers"):
            machine = images.make_able(folder)
        with step("builds the image"):
            images.build(machine, asked.torch, is_small=asked.if_able)
            tell(f"{images.size_of_image(machine) / 2**30:.1f} GB")
        with step("takes a PostgreSQL"):
            images.build_postgres(machine, _postgres_of_the_compose_file())
        stack = _stack(machine)
        _try(stack)
    except (Failed, KeyboardInterrupt) as error:
        if asked.if_able and isinstance(error, Unable):
            print(f"the containers are not tried here: {error}")
            return 0
        complain(str(error) or "interrupted")
        if stack is not None:
            _tell_lines(stack)
        if asked.keep:
            complain(f"kept: . {folder}/environment; docker/try.sh --again {folder} tries once more")
        return 1
    finally:
        if not asked.keep:
            _leave_nothing(stack, folder)
    print(f"everything holds, in {(time.monotonic() - began) / 60:.1f} min")
    return 0


def _interrupted(*_: object) -> None:
    """Whoever ends it, as CI does where its tests fail, gets the machine back as it was."""
    raise KeyboardInterrupt


def _try(stack: Stack) -> None:
    with step("make up"):
        for line in stack.make("up").splitlines()[-2:]:
            tell(line)
    with step("every part is healthy, hardened, and tells no secret"):
        trial.is_hardened(stack)
    with step("a sweep is asked for through the API, twice, and is one"):
        sweep = trial.ask_for_a_sweep(stack)
    with step("every part is restarted while it runs, and the worker is killed"):
        trial.restart_everything(stack, sweep)
    with step("it ends, each result counted once"):
        trial.until_it_ends(stack, sweep)
    with step("its rows are in PostgreSQL, its curves in MLflow, its answer in the API"):
        before = trial.looked_at(stack, sweep)
        tell(", ".join(f"{count} {name}" for name, count in before.items()))
    with step("a night runs, once"):
        trial.run_a_night(stack)
    with step("everything is lost but a backup, and comes back"):
        trial.lose_and_restore(stack, sweep)
    with step("make down"):
        stack.make("down")
        stack.compose("down", "--volumes")
        if left := stack.left():
            raise Failed(f"`make down` and `down --volumes` left {', '.join(left)}")


def _asked(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="docker/try.sh", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--torch", help="PyTorch of the image, as 'torch==2.13.0'; a CPU wheel of pip's own folders")
    parser.add_argument(
        "--folder", type=Path, default=Path("/var/tmp"), help="where images, volumes and logs go while it runs"
    )
    parser.add_argument("--if-able", action="store_true", help="where this machine cannot, say why and leave with 0")
    parser.add_argument("--keep", action="store_true", help="leave the stack, the images and the logs as they are")
    parser.add_argument(
        "--again", type=Path, metavar="FOLDER", help="what --keep left there: PyTorch is not installed once more"
    )
    return parser.parse_args(given)


def _postgres_of_the_compose_file() -> str:
    """Read as text: the standard library has no YAML."""
    lines = (DOCKER / "compose.yaml").read_text().splitlines()
    (image,) = [line.partition("image:")[2].strip() for line in lines if "/postgres:" in line]
    return image


def _stack(machine: Machine) -> Stack:
    studies = machine.folder / "studies"
    studies.mkdir(exist_ok=True)
    shutil.rmtree(machine.folder / "secrets", ignore_errors=True)
    (studies / "tiny.toml").write_text(trial.STUDY)
    for path in (machine.folder, studies, studies / "tiny.toml"):  # the containers' user is another one
        path.chmod(0o755 if path.is_dir() else 0o644)
    return Stack(machine, studies)


def _tell_lines(stack: Stack) -> None:
    for service in ("postgres", "mlflow", "service", "worker"):
        try:
            lines = stack.lines_of(service).splitlines()[-15:]
        except Failed:
            continue
        complain("\n".join([f"── {service}", *lines]))


def _leave_nothing(stack: Stack | None, folder: Path) -> None:
    """Whatever state it is in. Storage is mounted upon itself while it is used."""
    if stack is not None:
        for command in (["podman-compose", "down", "--volumes"], ["podman", "system", "reset", "--force"]):
            try:
                output_of(command, environ=stack.environ, folder=DOCKER)
            except Failed as error:
                complain(str(error))
    places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((each for each in places if each.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        complain(f"{folder} could not be removed whole")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupted)
    sys.exit(main())
