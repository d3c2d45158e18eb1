"""Elements in which every text is text: what is not markup already is escaped, so that a name with ``<`` in it is read
and never run."""

from __future__ import annotations

from html import escape

EMPTY = {"link", "meta", "input", "br"}
"""Elements that hold nothing."""


class Markup(str):
    """Made here alone."""

    __slots__ = ()


Part = Markup | str | None
"""A text is escaped; None is nothing."""


def tag(name: str, /, *parts: Part, **attributes: str | bool | None) -> Markup:
    """``class_`` is the attribute ``class``, ``aria_label`` is ``aria-label``; True is an attribute without a value,
    False and None leave it out.

    >>> print(tag("a", "<b>", tag("i", "x"), href="/?a&b", class_="y", hidden=True))
    <a href="/?a&amp;b" class="y" hidden>&lt;b&gt;<i>x</i></a>
    """
    given = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if name in EMPTY:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(*parts)}</{name}>")


def joined(*parts: Part) -> Markup:
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts if part is not None))


def _attribute(name: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
