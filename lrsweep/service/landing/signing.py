"""The page on which one signs in, and the one that says that something is refused."""

from __future__ import annotations

from http import HTTPStatus

from lrsweep.service.landing.frame import code, page_bytes, paragraph, with_skip_link
from lrsweep.service.landing.markup import joined, tag
from lrsweep.service.problems import Refused


def sign_in_page(problem: str | None = None, *, needs_tls: bool = False) -> bytes:
    """``needs_tls``: whether a browser would not keep the cookie of an address that begins with http."""
    form = tag(
        "form",
        tag("label", "Token", for_="token"),
        tag(
            "input",
            id="token",
            name="token",
            type="password",
            autocomplete="off",
            spellcheck="false",
            maxlength="200",
            required=True,
            autofocus=True,
            aria_describedby="about" if problem is None else "problem about",
            aria_invalid=None if problem is None else "true",
        ),
        tag("button", "Sign in", type="submit"),
        method="post",
        action="/login",
    )
    return page_bytes(
        "Sign in: lrsweep",
        with_skip_link(
            tag(
                "main",
                tag("h1", "Sign in to lrsweep"),
                None if problem is None else tag("p", problem, id="problem", class_="problem", role="alert"),
                form,
                tag(
                    "p",
                    "Any token that is in force; here it lets you read, whatever its scope. ",
                    code("lrsweep token create NAME"),
                    " makes one, on the machine that has the results. It is not kept: this browser gets a cookie for "
                    "12 hours, until you sign out, or until the token is revoked.",
                    id="about",
                    class_="note",
                ),
                paragraph(
                    "Over plain http from another machine a browser does not keep that cookie: come by https.",
                    class_="note",
                )
                if needs_tls
                else None,
                id="content",
                tabindex="-1",
                class_="narrow",
            )
        ),
    )


def refusal_page(refused: Refused) -> bytes:
    status = HTTPStatus(refused.status)
    return page_bytes(
        f"{status.phrase}: lrsweep",
        with_skip_link(
            tag(
                "main",
                tag("h1", status.phrase),
                paragraph(joined(f"{refused.detail[:1].upper()}{refused.detail[1:]}"), class_="problem"),
                paragraph(tag("a", "To the front page", href="/")),
                id="content",
                tabindex="-1",
                class_="narrow",
            )
        ),
    )
