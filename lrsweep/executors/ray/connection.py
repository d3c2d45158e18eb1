"""The way to a Ray cluster: found, or started here; watched, and left in order.

It is a thread, because ``ray.init`` takes seconds or waits for ever, and in the main thread it would take SIGTERM for
itself. The thread lasts as long as the connection: what ``ray.init`` starts on this machine ends with it.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lrsweep.errors import LrsweepError, SettingsError, TryAgain
from lrsweep.executors.executor_option import AUTO_ADDRESS, OWN_CLUSTER, RAY, ExecutorOption

ADDRESS = "RAY_ADDRESS"
AUTH_MODE = "RAY_AUTH_MODE"
ANSWER_SECONDS = 10.0
"""For the head to take a connection."""
CONNECT_SECONDS = 180.0
"""For all of it: on a busy machine a cluster of its own takes 20 s."""
WATCH_SECONDS = 5.0
HEAD_SECONDS = 30.0
"""How long the head may be away. After 60 s Ray ends the process, and not in order; to leave takes some 15 s."""
TICK_SECONDS = 0.1
OWN_STORE_BYTES = 128 * 2**20
"""Of shared memory, for a cluster of its own: nothing of ours stays in it."""

OWN_SAID = "starting a Ray cluster on this machine for this command, with which it ends"

_QUIET = {
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # else SIGTERM ends the process at once, with a stack
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of what it will do in a later release
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # what its nodes say of ended processes goes to standard output otherwise
}
"""Where the user has set nothing."""


def check_installed(option: ExecutorOption) -> None:
    """Raises SettingsError where Ray is not. To be called before anything else here is imported that needs it."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            f"{option.given_by} is {str(option)!r}, but Ray cannot be imported ({error}): pip install 'lrsweep[ray]'"
        ) from None


@dataclass(frozen=True)
class Target:
    """What is given to ``ray.init``, and what to say of it."""

    address: str
    said: str
    """before, for it may take a minute"""


class Connection:
    """Of this process. Where the program has connected itself, that one is used and left open."""

    def __init__(self, option: ExecutorOption, say: Callable[[str], None]) -> None:
        """Returns at once. Raises SettingsError where the address cannot be meant."""
        import ray

        self._option = option
        self._say = say
        self._is_ours = not ray.is_initialized()
        self._done = threading.Event()
        self._left = threading.Event()
        self._failure: Exception | None = None
        self._said: str | None = None
        self._is_found = False
        self._head: tuple[str, int] | None = None
        self._away_since: float | None = None
        self.is_own = False
        """whether the cluster ends with this process"""
        if self._is_ours:
            _refuse_a_client(option)
        threading.Thread(target=self._live, name="ray", daemon=True).start()

    def wait(self, tick: Callable[[], None]) -> None:
        """Until it is there. Raises TryAgain or SettingsError where it is not to be had; ``tick`` may raise, too."""
        until = time.monotonic() + CONNECT_SECONDS
        while not self._done.wait(TICK_SECONDS):
            self._tell()
            tick()
            if time.monotonic() > until:
                raise TryAgain(f"{self._what} said nothing for {CONNECT_SECONDS:.0f} s. {_TO_DO}")
        if self._failure is not None:
            raise self._failure
        self._tell()
        if not self._is_found:
            self._is_found = True
            _take_signals_back()

    def _tell(self) -> None:
        said, self._said = self._said, None
        if said is not None:
            self._say(said)

    @property
    def is_away(self) -> bool:
        """Whether the head does not answer."""
        return self._away_since is not None

    def check(self) -> None:
        """Raises TryAgain where the cluster's head has gone."""
        if self._away_since is not None and time.monotonic() - self._away_since > HEAD_SECONDS:
            raise self.silent(f" for {HEAD_SECONDS:.0f} s")

    def silent(self, how_long: str = "") -> TryAgain:
        """Of the cluster's head."""
        head = ":".join(map(str, self._head or ()))
        return TryAgain(
            f"the head of the Ray cluster ({head}) has not answered{how_long}. What was trained is kept. {_TO_DO}"
        )

    def close(self) -> None:
        self._left.set()
        if self._is_ours and self._done.is_set() and self._failure is None:
            import ray

            ray.shutdown()

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _live(self) -> None:
        try:
            if self._is_ours:
                self._connect()
            self._find_head()
        except Exception as error:
            self._failure = self._told(error)
        finally:
            self._done.set()
        while not self._left.wait(WATCH_SECONDS) and self._head is not None:
            if _answers(*self._head, WATCH_SECONDS):
                self._away_since = None
            else:
                self._away_since = self._away_since or time.monotonic()

    def _connect(self) -> None:
        import ray

        logging.getLogger("ray").setLevel(logging.CRITICAL)
        target = target_of(self._option)
        self.is_own = target.address == OWN_CLUSTER
        self._said = target.said
        store = OWN_STORE_BYTES if self.is_own else None
        ray.init(
            target.address,
            include_dashboard=False,
            object_store_memory=store,
            log_to_driver=False,
            configure_logging=False,
        )

    def _find_head(self) -> None:
        import ray

        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head = host, int(port)

    def _told(self, error: Exception) -> Exception:
        if isinstance(error, LrsweepError):
            return error
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        return TryAgain(f"{self._what} cannot be used: {reason}.{_of_tokens()} {_TO_DO}")

    @property
    def _what(self) -> str:
        given = os.environ.get(ADDRESS)
        by = f" ({ADDRESS} is {given!r})" if given and self._option.address in (None, AUTO_ADDRESS) else ""
        return f"the Ray cluster of {self._option.given_by} {str(self._option)!r}{by}"


def _of_tokens() -> str:
    """Ray says only that it could not connect; clusters of Ray 2.60 want a token unless they were told otherwise."""
    if os.environ.get(AUTH_MODE) == "token":
        return ""
    return f" {_mode()}: where the cluster wants a token, set it to 'token', and have its ~/.ray/auth_token here too."


def of_another_mode() -> str:
    """Where a cluster wants no token and is shown one, Ray connects, and then says only that each actor has died."""
    return f" {_mode()}: set it as it was for the `ray start` of the cluster ('token' or 'disabled')."


def _mode() -> str:
    mode = os.environ.get(AUTH_MODE)
    return f"{AUTH_MODE} is {mode!r}" if mode else f"{AUTH_MODE} is not set"


_TO_DO = "See `ray status` there; the same command then goes on, and `--executor ray:local` needs no cluster."


def target_of(option: ExecutorOption) -> Target:
    """Where to connect to. Raises TryAgain where nobody answers: Ray itself would end this process after a minute."""
    given = os.environ.get(ADDRESS) or None
    if option.address == OWN_CLUSTER:
        return Target(OWN_CLUSTER, OWN_SAID)
    if option.address not in (None, AUTO_ADDRESS):
        assert option.address is not None
        if given is None and _is_same(option.address, _running_here()):
            # then Ray shows it this machine's token, which others are not to see
            return Target(AUTO_ADDRESS, _connecting(option.address))
        return _answered(option.address, option.address, option)
    if given not in (None, AUTO_ADDRESS):
        assert given is not None
        return Target(OWN_CLUSTER, OWN_SAID) if given == OWN_CLUSTER else _answered(AUTO_ADDRESS, given, option)
    found = _running_here()
    if found is not None:
        return Target(AUTO_ADDRESS, f"connecting to the Ray cluster of this machine ({found})")
    if option.address == AUTO_ADDRESS:
        raise TryAgain(
            f"{option.given_by} is {str(option)!r}, but no Ray cluster runs on this machine and {ADDRESS} is not set. "
            f"Start one with `ray start --head`, join one with `ray start --address=HOST:PORT`, or use "
            f"{RAY}:{OWN_CLUSTER}."
        )
    return Target(
        OWN_CLUSTER,
        f"no Ray cluster runs here and {ADDRESS} is not set: {OWN_SAID}",
    )


def _take_signals_back() -> None:
    """Where Ray was imported before it could be told not to take them."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.getsignal(number))


def _refuse_a_client(option: ExecutorOption) -> None:
    given = os.environ.get(ADDRESS) or ""
    if "://" in given and option.address in (None, AUTO_ADDRESS):
        raise SettingsError(
            f"{ADDRESS} is {given!r}; wanted is HOST:PORT, the address of the cluster's head, as in '10.0.0.1:6379', "
            "on a machine that is part of the cluster. From outside, submit the command as a job, as "
            "in: ray job submit --working-dir . -- lrsweep run STUDY --executor ray."
        )


def _answered(address: str, head: str, option: ExecutorOption) -> Target:
    host, _, port = head.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(f"{ADDRESS} is {head!r}; wanted is HOST:PORT, as in '10.0.0.1:6379'.")
    if not _answers(host, int(port), ANSWER_SECONDS):
        by = f"{ADDRESS} is {head!r}" if address == AUTO_ADDRESS else f"{option.given_by} is {str(option)!r}"
        raise TryAgain(f"{by}, but nobody answers there (tried for up to {ANSWER_SECONDS:.0f} s). {_TO_DO}")
    return Target(address, _connecting(head))


def _connecting(head: str) -> str:
    return f"connecting to the Ray cluster at {head}"


def _running_here() -> str | None:
    """The address that the last ``ray start`` on this machine has left, where somebody answers."""
    from ray._private.utils import read_ray_address

    address = read_ray_address()
    host, _, port = (address or "").rpartition(":")
    return address if host and port.isdigit() and _answers(host, int(port), ANSWER_SECONDS) else None


def _is_same(address: str, other: str | None) -> bool:
    """Whether both name the same head: a machine has several names."""
    if other is None:
        return False
    host, _, port = address.rpartition(":")
    other_host, _, other_port = other.rpartition(":")
    try:
        found = socket.gethostbyname(host)
    except OSError:
        return False
    return port == other_port and (found.startswith("127.") or found == other_host)


def _answers(host: str, port: int, seconds: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False
