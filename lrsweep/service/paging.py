"""A list in pages: a cursor says after which name the next page begins, so that what is added meanwhile moves nothing.

GET /v1/studies?limit=2            a, b, and "next": "YWI"
GET /v1/studies?limit=2&cursor=YWI the two after b
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence
from http import HTTPStatus

from lrsweep.service.problems import Refused, quoted


def page_of(names: Sequence[str], cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
    """Of names in their order, and the cursor of the next page; None where there is none."""
    begin = 0 if cursor is None else bisect_right(names, after(cursor))
    found = names[begin : begin + limit]
    is_last = begin + limit >= len(names)
    return found, None if is_last or not found else cursor_after(found[-1])


def cursor_after(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def after(cursor: str) -> str:
    """Raises Refused (422) for what no page has given."""
    try:
        name = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        name = ""
    if not name or cursor_after(name) != cursor:
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"cursor is {quoted(cursor)}; wanted is the `next` of a page. Leave it out for the first page.",
        )
    return name
