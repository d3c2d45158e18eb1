"""Writes down every attempt of this Python process to leave the machine.

Python imports a module of this name at its start from PYTHONPATH, which children inherit. ``OUTGOING_RECORD`` names the
file; one line of JSON per attempt. Names count as leaving unless they stand for this machine: asking a name server is
already a message. C libraries that open sockets of their own are not seen; a network without a route covers those.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
import traceback

RECORD = os.environ["OUTGOING_RECORD"]
HERE = {"", "localhost", "ip6-localhost"}
WITH_ADDRESS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
WITH_HOST = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


def stays_here(host: object) -> bool:
    """Whether this host is the machine itself: loopback, the wildcard, or nothing at all."""
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    if not isinstance(name, str) or name.lower() in HERE:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def host_of(event: str, arguments: tuple[object, ...]) -> object:
    """Where the event wants to go: a host, or None where it stays in the machine (a Unix socket, a bound peer)."""
    if event in WITH_HOST:
        return arguments[0]
    address = arguments[-1]
    return address[0] if isinstance(address, tuple) and isinstance(address[0], str) else None


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event not in WITH_ADDRESS and event not in WITH_HOST:
        return
    host = host_of(event, arguments)
    if stays_here(host):
        return
    calls = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_stack(limit=12)[:-1]]
    line = json.dumps({"event": event, "host": str(host), "command": sys.argv[:3], "calls": calls})
    # One write of one line: several processes append to the same file.
    descriptor = os.open(RECORD, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


sys.addaudithook(watch)
