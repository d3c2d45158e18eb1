"""What is to be said of a node, by the first answer of its station."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lrsweep import __version__
from lrsweep.engines.versions import versions
from lrsweep.executors.ray.words import Hello


def refusal_of(hello: Hello) -> str | None:
    """Why nothing is trained there; None: it may be."""
    if hello.lrsweep == __version__:
        return None
    return f"node {hello.node} has lrsweep {hello.lrsweep}, and this is {__version__}; install the same on all nodes."


def remarks(hello: Hello, checkpoints: str | None) -> Iterator[str]:
    """What is otherwise there than here, and what comes of it. ``checkpoints``: the folder or URL of them."""
    if (other := unlike(hello, versions())) is not None:
        yield other
    if not hello.sees_folder:
        yield (
            f"node {hello.node} does not see {Path.cwd()}: scripts and files of your own are not found there. Use a "
            "folder that all nodes share, or submit the command as a Ray job with its working folder."
        )
    if not hello.sees_checkpoints:
        yield (
            f"node {hello.node} does not see the folder of checkpoints {checkpoints}: a training that is lost there "
            "starts again from its first step. Set LRSWEEP_CHECKPOINTS to a folder that all nodes share, or to a URL "
            "such as s3://bucket/folder."
        )


def unlike(hello: Hello, here: Mapping[str, str]) -> str | None:
    """What is to be said where a node computes with other libraries."""
    there = {"python": hello.python, "torch": hello.torch}
    other = [
        f"{name} {there[name]} (here {here[name]})" for name in there if name in here and there[name] != here[name]
    ]
    if not other:
        return None
    return f"node {hello.node} has {' and '.join(other)}: the last bits of what is trained there may differ"
