"""``lrsweep export-results``: a study's table as a file, or on standard output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lrsweep.errors import SettingsError
from lrsweep.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["csv", "parquet", "json"]


def export(frame: pd.DataFrame, form: Format, file: Path | None) -> None:
    """Raises SettingsError where the file cannot be written."""
    if file is None:
        if form == "parquet" and sys.stdout.isatty():
            raise SettingsError("Parquet is no text for a terminal; name a file: --out FILE.")
        sys.stdout.buffer.write(_as_bytes(frame, form))
        sys.stdout.flush()
        return
    write_whole(file, _as_bytes(frame, form), "--out")


def _as_bytes(frame: pd.DataFrame, form: Format) -> bytes:
    if form == "csv":
        return str(frame.to_csv(index=False)).encode()
    if form == "json":
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        return json.dumps(rows, allow_nan=False).encode() + b"\n"  # to_json rounds to 15 places after the point
    try:
        return bytes(_one_kind_each(frame).to_parquet(index=False))
    except ImportError as error:
        raise SettingsError(f"Parquet needs pyarrow: pip install pyarrow ({error}).") from error


def _one_kind_each(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns that mix kinds, as a setting's ``choices = [64, "auto"]`` does, hold text: one of Parquet has one."""
    mixed = frame.columns[frame.dtypes == "object"]
    return frame.assign(**{name: frame[name].map(_as_text, na_action="ignore") for name in mixed})


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
