"""``lrsweep serve``: the service on the results of this home or database."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from lrsweep.errors import SettingsError
from lrsweep.settings import Settings, make_homes

NEEDED = ("fastapi", "uvicorn")
"""Of the extra ``service``."""


def serve_results(
    settings: Settings, *, host: str, port: int, per_second: float, mlflow_url: str | None, say: Callable[[str], None]
) -> None:
    """Until a signal ends it. A home that has nothing yet is made: sweeps may begin in it while the service runs."""
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        raise SettingsError(f"the service needs {' and '.join(lacking)}: pip install 'lrsweep[service]'.")
    if not 0 < per_second <= 1_000_000:
        raise SettingsError(f"--rate is {per_second:g}; wanted a number of requests a second above 0.")
    from lrsweep.service.landing.mlflow import Mlflow
    from lrsweep.service.listening import serve

    mlflow = Mlflow.of(settings.tracking_uri or "", mlflow_url)
    url = make_homes(settings).results_url
    serve(url, host=host, port=port, per_second=per_second, mlflow=mlflow, say=say)
