"""What all pages have around them: the head, the policy, the style."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

from lrsweep.service.landing.markup import Markup, Part, joined, tag


def page_bytes(title: str, *body: Part) -> bytes:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", _style()),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', *body), lang='en')}\n".encode()


def headers() -> dict[str, str]:
    """Browsers say in Origin where a form stood only under a policy that lets them say it here."""
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_hash()}'; img-src data:; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        ),
        "Referrer-Policy": "same-origin",
    }


def code(text: str) -> Markup:
    return tag("code", text)


def paragraph(*parts: Part, class_: str | None = None) -> Markup:
    return tag("p", *parts, class_=class_)


def with_skip_link(*parts: Part) -> Markup:
    """Who goes by the keyboard need not go through what all pages have."""
    return joined(tag("a", "Skip to the content", href="#content", class_="skip"), *parts)


@cache
def _style() -> Markup:
    """As the hash has it: nothing in it is escaped."""
    text = (resources.files("lrsweep.service.landing") / "page.css").read_text(encoding="utf-8")
    return Markup(text.replace("\r\n", "\n"))


@cache
def _hash() -> str:
    return base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
