"""What PyTorch finds on this machine, asked in a process of its own.

It takes seconds to import, may take memory on a GPU, and where a driver or a package does not fit it may fail in ways
that end a process: whoever asks goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Gpu:
    name: str
    memory_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class TorchProbed:
    torch: str | None = None
    """its version, as it says it; None where it does not import"""
    cuda: str | None = None
    """that it was built for"""
    gpus: Sequence[Gpu] = ()
    cuda_error: str | None = None
    """why a build for CUDA finds no GPU"""
    torchvision_error: str | None = None
    error: str | None = None
    """why PyTorch does not import"""


def probe_torch(patience_seconds: float = PATIENCE_SECONDS) -> TorchProbed:
    with probing_torch(patience_seconds) as answer:
        return answer()


@contextmanager
def probing_torch(
    patience_seconds: float = PATIENCE_SECONDS, *, environ: Mapping[str, str] | None = None
) -> Iterator[Callable[[], TorchProbed]]:
    """Begins to ask, and gives what waits for the answer: something else can be done before. ``environ`` says what is
    visible; by default this process's own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lrsweep.engines.probing"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )

    def answer() -> TorchProbed:
        try:
            out, err = process.communicate(timeout=patience_seconds)
        except subprocess.TimeoutExpired:
            return TorchProbed(error=f"it did not import within {patience_seconds:.0f} s")
        return _read(out, err, process.returncode)

    try:
        yield answer
    finally:
        process.kill()  # where nobody has waited for it
        process.communicate()


def _read(out: str, err: str, code: int) -> TorchProbed:
    answers = [line for line in out.splitlines() if line.startswith("{")]
    if code or not answers:
        said = [line for line in err.splitlines() if line.strip()] or [f"exit code {code}"]
        return TorchProbed(error=said[-1].strip())
    read = json.loads(answers[-1])
    return TorchProbed(**{**read, "gpus": tuple(Gpu(**each) for each in read["gpus"])})


def _answer() -> TorchProbed:
    import torch

    vision = None
    try:
        import torchvision  # noqa: F401
    except Exception as error:  # a build for another PyTorch raises RuntimeError
        vision = _line(error)
    built_for = torch.version.cuda
    gpus, cuda_error = [], None
    try:
        if torch.cuda.is_available():
            for index in range(torch.cuda.device_count()):
                free, total = torch.cuda.mem_get_info(index)
                gpus.append(Gpu(torch.cuda.get_device_name(index), total, free))
        elif built_for is not None:
            torch.cuda.init()  # type: ignore[no-untyped-call] # says why
    except Exception as error:
        cuda_error = _line(error)
    return TorchProbed(torch.__version__, built_for, tuple(gpus), cuda_error, vision)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_answer())) + "\n")
