"""Counts of requests, as Prometheus reads them: text, format 0.0.4. Routes are named by their patterns, so that there
are as many lines as routes and statuses, whatever is asked for."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
NO_ROUTE = "none"


class Requests:
    """Safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        with self._lock:
            self._counts[method, route, status] += 1
            bucket = self._buckets.setdefault(route, [0] * (len(BOUNDS) + 1))
            bucket[bisect_left(BOUNDS, seconds)] += 1
            self._seconds[route] += seconds  # type: ignore[assignment]

    def text(self, gauges: Mapping[str, tuple[str, Mapping[str, float]]]) -> str:
        """``gauges``: by name what it says, and the values by their labels."""
        with self._lock:
            lines = [*self._lines()]
        for name, (about, values) in gauges.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
            lines += [f"{name}{labels} {value:g}" for labels, value in values.items()]
        return "\n".join(lines) + "\n"

    def _lines(self) -> Iterator[str]:
        name = "lrsweep_http_requests_total"
        yield f"# HELP {name} Requests that were answered."
        yield f"# TYPE {name} counter"
        for (method, route, status), count in sorted(self._counts.items()):
            labels = labelled(method=method, route=route, status=str(status))
            yield f"{name}{labels} {count}"
        name = "lrsweep_http_request_seconds"
        yield f"# HELP {name} From the first byte of a request to the last of its answer."
        yield f"# TYPE {name} histogram"
        for route, bucket in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*BOUNDS, None), bucket, strict=True):
                total += count
                yield f"{name}_bucket{labelled(route=route, le='+Inf' if bound is None else f'{bound:g}')} {total}"
            yield f"{name}_sum{labelled(route=route)} {self._seconds[route]:.6f}"
            yield f"{name}_count{labelled(route=route)} {total}"


def labelled(**labels: str) -> str:
    r"""
    >>> labelled(study='a"b')
    '{study="a\\"b"}'
    """
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
