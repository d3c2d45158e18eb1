"""Code in sentences: what stands between backticks in a text for people, where it can be nothing but code."""

from __future__ import annotations

import re

CODE = re.compile(r"(?<![\w`\\])`(-{0,2}\w[\w ./:=-]*)`(?![\w`])")
"""of signs that cannot become markup: a name that has a backtick of its own stays as it is"""


def in_parts(text: str) -> list[str]:
    """Texts, and a code between each two.

    >>> in_parts("type `lrsweep ui`, or `<i>`")
    ['type ', 'lrsweep ui', ', or `<i>`']
    """
    return CODE.split(text)
