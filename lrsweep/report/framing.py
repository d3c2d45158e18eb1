"""What every page that stands alone has around its body: nothing is loaded, and its policy allows its own parts alone.

The policy names style and script by their hashes, so that what a page's text might smuggle in is not run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from importlib import resources


def framed(title: str, body: Iterable[str], *, style: str, data: str = "", script: str = "") -> str:
    """``data`` is JSON that can stand in a script element, for the ``script`` to read."""
    allowed = f"script-src 'sha256-{_hash(script)}'; " if script else ""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_hash(style)}'; {allowed}img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    scripts = [f'<script type="application/json" id="data">{data}</script>', f"<script>{script}</script>"]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="referrer" content="no-referrer">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            f"<main>{''.join(body)}</main>",
            *(scripts if script else []),
            "</body>",
            "</html>",
            "",
        ]
    )


def part(package: str, name: str) -> str:
    """A style or a script that lies beside the code."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
