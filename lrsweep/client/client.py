"""``Client``: a method for each route of the service."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote
from uuid import uuid4

import numpy as np

from lrsweep.champion.reading import from_json
from lrsweep.champion.value import ChampionChoice
from lrsweep.client.following import GIVE_UP_SECONDS, followed
from lrsweep.client.given import checked_key
from lrsweep.client.wire import Wire
from lrsweep.errors import TryAgain, Unavailable
from lrsweep.records import Floats, Json

TIMEOUT_SECONDS = 10.0
WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Scheduled:
    """Which schedule to use for a study, and how far that is shown."""

    study: str
    source: str
    """``champion``, or ``sweep`` where nothing was promoted"""
    recommended: str
    """the family"""
    evidence: str | None
    """the word of the service's JSON: ``proven``, ``recommended`` or ``undecided``. Of a choice, here and from
    ``lrsweep.load_choice``, ``evidence`` is the whole of what was shown, and the word is ``evidence_level``: that name
    means the same on all of them"""
    n: int | None
    """seeds"""
    horizon: int
    peak_lr: float
    rates: Floats | None
    """one for each update; None where the schedule reacts to a metric, or has very many steps"""
    notes: tuple[str, ...]
    """such as that the horizon is not the one that it was found on"""
    choice: ChampionChoice
    """with optimizer, batch size and the whole evidence; ``choice.torch(optimizer, total_steps)`` trains with it"""

    @property
    def evidence_level(self) -> str | None:
        """As of the choice that ``lrsweep.load_choice`` gives, so that a program may take the one for the other."""
        return self.evidence


class Client:
    """``url`` is where the service listens; without a ``token``, that of the variable ``LRSWEEP_TOKEN`` is sent.

    Every method raises SettingsError for a question that cannot be meant or is not allowed, with the service's own
    words; TryAgain where it says to ask later; Unavailable where it does not answer, or something else does.

    Proxies of the environment (``https_proxy``) are used for https alone: of plain http they would read the token.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._wire = Wire(url, token, timeout)

    # ── studies ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def studies(self) -> Iterator[dict[str, Json]]:
        """All of them by name, page by page."""
        cursor: str | None = None
        while True:
            page = self._wire.json("/v1/studies", limit=100, cursor=cursor)
            with self._wire.as_expected():
                studies, cursor = list(page["studies"]), page["next"]
            yield from studies
            if cursor is None:
                return

    def study(self, name: str) -> dict[str, Json]:
        """Where it stands, its champion and its sweeps."""
        return self._wire.json(f"/v1/studies/{quote(name, safe='')}")

    def schedule(self, name: str, horizon: int | None = None) -> Scheduled:
        """The champion, or what the newest sweep recommends; on another horizon the measured exponent moves its peak,
        as ``notes`` say."""
        found = self._wire.json(f"/v1/studies/{quote(name, safe='')}/schedule", horizon=horizon)
        with self._wire.as_expected():
            rates = found["rates"]
            return Scheduled(
                study=found["study"],
                source=found["source"],
                recommended=found["recommended"],
                evidence=found["evidence"],
                n=found["n"],
                horizon=found["horizon"],
                peak_lr=found["peak_lr"],
                rates=None if rates is None else np.array(rates, dtype=np.float64),
                notes=tuple(found["notes"]),
                choice=from_json(found["choice"], f"{name!r} of {self._wire.address}"),
            )

    def export(self, name: str, form: str, horizon: int | None = None) -> str:
        """As ``lrsweep export --to FORM`` writes it: code for a library, or ``csv``."""
        return self._wire.text(f"/v1/studies/{quote(name, safe='')}/schedule", horizon=horizon, format=form)

    # ── sweeps ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def sweep(self, sweep_id: str) -> dict[str, Json]:
        return self._wire.json(f"/v1/sweeps/{quote(sweep_id, safe='')}")

    def start(
        self, name: str, *, key: str | None = None, deadline: str | None = None, another: bool = False
    ) -> dict[str, Json]:
        """Starts a sweep of a registered study, or goes on with the unfinished one; ``sweep`` of the answer is its id.

        The same ``key`` gets the same answer and starts nothing more; without one each call is a question of its own.
        ``deadline`` is a time such as "6h". TryAgain where a sweep of the study waits or is under way already.
        """
        asked = {"another": another, **({} if deadline is None else {"deadline": deadline})}
        given = {"Idempotency-Key": uuid4().hex if key is None else checked_key(key)}
        return self._wire.object(self._wire.ask(f"/v1/studies/{quote(name, safe='')}/sweeps", {}, _body(asked), given))

    def cancel(self, sweep_id: str) -> dict[str, Json]:
        """Ends it for good; what it found stays. It may take a moment: ``wait`` says when. TryAgain where it is over
        already."""
        return self._wire.object(self._wire.ask(f"/v1/sweeps/{quote(sweep_id, safe='')}/cancel", {}, b""))

    def events(self, sweep_id: str, *, after: int | None = None) -> Iterator[dict[str, Json]]:
        """What happens in it, until it is over: each with its kind under ``event`` and, where it is a line of the
        history, its number under ``id``. A connection that breaks is made again, and nothing is missed or told twice;
        ``after`` is a number that is known already. Raises Unavailable where the service stays away for a minute.
        """
        path = f"/v1/sweeps/{quote(sweep_id, safe='')}/events"
        return followed(lambda last: self._wire.stream(path, last), after, lambda: self._state_of(sweep_id))

    def _state_of(self, sweep_id: str) -> dict[str, Json]:
        """As an event says it."""
        found = self.sweep(sweep_id)
        with self._wire.as_expected():
            queue = None if found["queue"] is None else found["queue"]["state"]
            return {"state": found["state"], "queue": queue, "is_over": found["is_over"], "event": "state"}

    def wait(self, sweep_id: str, *, seconds: float | None = None) -> dict[str, Json]:
        """Until nothing goes on with it by itself; its ``state`` says how it ended. Raises TryAgain after so many
        seconds, and Unavailable where the service stays away so long, or for a minute."""
        heard_at = time.monotonic()
        end = math.inf if seconds is None else heard_at + seconds
        while True:
            try:
                found = self.sweep(sweep_id)
                with self._wire.as_expected():
                    if found["is_over"]:
                        return found
            except Unavailable:
                if (now := time.monotonic()) >= end or now - heard_at > GIVE_UP_SECONDS:
                    raise
            else:
                heard_at = time.monotonic()
                if heard_at >= end:
                    raise TryAgain(f"sweep {sweep_id} is {found.get('state')} still, after {seconds:g} s.")
            time.sleep(min(WAIT_SECONDS, max(0.0, end - time.monotonic())))

    def report(self, sweep_id: str) -> str:
        """One page of HTML that needs no network."""
        return self._wire.text(f"/v1/sweeps/{quote(sweep_id, safe='')}/report")

    # ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────────
    def families(self) -> list[dict[str, Json]]:
        answer = self._wire.json("/v1/families")
        with self._wire.as_expected():
            found: list[dict[str, Json]] = answer["families"]
        return found

    def preview(self, family: str, steps: int = 1000, peak_lr: float = 1.0, **settings: Json) -> Floats:
        """The rates of a schedule, one for each update."""
        asked = {"family": family, "settings": settings, "steps": steps, "peak_lr": peak_lr}
        answer = self._wire.ask("/v1/preview", {}, _body(asked))
        with self._wire.as_expected():
            return np.array(json.loads(answer)["rates"], dtype=np.float64)


def _body(asked: Mapping[str, Json]) -> bytes:
    return json.dumps(asked).encode()
