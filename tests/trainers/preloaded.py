"""Imports a library, and then runs scripts in children of this process: the import takes longer than they do.

Each line of standard input is one script: the folder to be in, changes of the environment, how many processes torchrun
is to start (0: the script runs without torchrun), and the arguments. What it prints goes to ``log.txt`` in its folder;
its exit code is printed here.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import socket
import sys

from torch.distributed.run import main as torchrun

importlib.import_module(sys.argv[1])


def run(folder: str, environ: dict[str, str], processes: int, arguments: list[str]) -> None:
    os.chdir(folder)
    os.environ.update(environ)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if processes:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = listening.getsockname()[1]
        torchrun(
            [f"--nproc-per-node={processes}", f"--master-port={port}", "--start-method=fork", "--run-path", *arguments]
        )
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        run(*json.loads(line))
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 (the answer)
