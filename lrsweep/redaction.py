"""Secrets, taken out of what people read: addresses, error texts, links; and folders, out of what others read.

The secrets of an address are its passwords: what stands between ``user:`` and ``@``, and its parameters ``password``
and ``sslpassword``. They are found by patterns, because urllib refuses addresses that a database driver still takes,
and this runs while an error is being told. Where it is doubtful what belongs to a password, more is hidden, not less.

What is promoted or reported leaves the machine. Of a path in it only the last part stays, which is the name of a file
or of a folder with data; a home, whose last part is somebody's name, becomes ``~``. Nobody can tell which other folders
are named after somebody: of ``/scratch/ann`` there stays ``ann``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
LONGEST_WORD = 10


def shown(uri: str) -> str:
    """The address without its passwords; the user stays, who is often what is wrong.

    >>> shown("postgresql://ann:secret@db/lrsweep?sslpassword=x")
    'postgresql://ann:***@db/lrsweep?sslpassword=***'
    """
    return _hidden(uri, _IN_ADDRESS)


def public_link(uri: str) -> str:
    """The address for a link that is printed: nothing of who logs in, which a browser asks for.

    >>> public_link("http://ann:secret@host:5000/mlflow")
    'http://host:5000/mlflow'
    """
    return re.sub(r"(?<=://)[^/?#]*@", "", shown(uri), count=1)


def without_secrets(text: str, uri: str) -> str:
    """``text`` without the passwords of ``uri``, in any mix of quoted and unquoted signs, nor those of other addresses.

    A password that may be an ordinary word or number (up to ten letters, up to ten digits, or under three signs:
    `postgres`, `5432`) is hidden only where a password stands: before an ``@``, or as the value of a ``password``.
    Elsewhere it would blank harmless words, and show by that what it is. Any other password is hidden wherever it
    stands, also within a longer word.
    """
    secrets = {match["secret"] for pattern in _IN_ADDRESS for match in pattern.finditer(uri)}
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = _hidden(text, _patterns_of(secret))
    return _hidden(text, (*_TOKENS, *_IN_TEXT))


def masked(text: str) -> str:
    """An error or a value without what looks like a secret, whoever's it is: passwords in addresses, tokens of known
    shapes, and what is set under a name that ends as a secret's does.

    >>> masked("401 for https://ann:secret@host/x?access_token=a1b2")
    '401 for https://ann:***@host/x?access_token=***'
    """
    return _hidden(text, (*_ASSIGNED, *_TOKENS, *_IN_TEXT))


def masked_values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """For those who may read results and may not log in where a script does.

    >>> masked_values({"hub_token": "a1b2", "width": 8})
    {'hub_token': '***', 'width': 8}
    """
    return {
        name: HIDDEN if names_a_secret(name) else masked(value) if isinstance(value, str) else value
        for name, value in parameters.items()
    }


def names_a_secret(name: str) -> bool:
    """
    >>> names_a_secret("hub_token"), names_a_secret("tokenizer")
    (True, False)
    """
    return re.fullmatch(_NAME_OF_A_SECRET, name, re.IGNORECASE) is not None


def masked_command(line: str) -> str:
    """A command line without what looks like a secret: all of ``masked``, and the values of options whose name ends as
    a secret's does. What follows ``-p`` is a password unless it is a number, a path or in braces.

    >>> masked_command("TOKEN=a1b2 python train.py --api-key='x y' --password q --max-tokens 512 --lr {peak_lr}")
    'TOKEN=*** python train.py --api-key=*** --password *** --max-tokens 512 --lr {peak_lr}'
    """
    return masked(_hidden(line, _IN_COMMAND))


# ── what others may read ─────────────────────────────────────────────────────────────────────────────────────────────
def public(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings and the like, however deep, without secrets, folders and user names.

    >>> public({"command": "python /data/ann/train.py --token=a1b2 --lr {peak_lr}", "api_key": "x", "width": 8})
    {'command': 'python train.py --token=*** --lr {peak_lr}', 'api_key': '***', 'width': 8}
    """
    masked_ones = masked_values(given)
    return {name: _public(value, is_command=name == "command") for name, value in masked_ones.items()}


def public_text(text: str) -> str:
    """A value, a name or a sentence without secrets, user names in addresses, and folders.

    >>> public_text("~/data/x.csv, postgresql://ann:secret@db/results and 1/3")
    'x.csv, postgresql://db/results and 1/3'
    """
    text = masked_command(text)
    return _last_part(text) if _BEGIN_OF_PATH.match(text) and _is_one_path(text) else public_command(text)


def public_command(line: str) -> str:
    """The same of a command line, in which a blank ends a path that is not in quotes.

    >>> public_command("/usr/bin/python t.py --root ~ann --data '/srv/ann smith/x.csv' ann@host:/srv/y")
    "python t.py --root ~ --data 'x.csv' host:y"
    """
    line = _IN_QUOTES.sub(_without_folders_in_quotes, _LOGIN.sub("", masked_command(line)))
    for pattern in (_WINDOWS_PATH, _PATH):
        line = pattern.sub(lambda match: _last_part(match[0]), line)
    return _HOME_OF.sub("~", _HOME_IN_ADDRESS.sub(r"\1~", line))


def _public(value: Any, *, is_command: bool = False) -> Any:
    if isinstance(value, Mapping):
        return public(value)
    if isinstance(value, list | tuple):
        return [_public(each, is_command=is_command) for each in value]
    if isinstance(value, str):
        return public_command(value) if is_command else public_text(value)
    return value


def _without_folders_in_quotes(found: re.Match[str]) -> str:
    """Quotes also stand around whole commands, which are looked at word by word."""
    if not _is_one_path(found["path"]):
        return found[0]
    return f"{found['quote']}{found['before'] or ''}{_last_part(found['path'])}{found['quote']}"


def _is_one_path(text: str) -> bool:
    """Whether its blanks, if it has any, are a folder's, and nothing in it begins something else."""
    return _SOMETHING_ELSE.search(text) is None


def _last_part(path: str) -> str:
    parts = [part for part in _SEPARATOR.split(path) if part and part != "file:"]
    if not parts:
        return path
    is_home = (len(parts) > 1 and parts[-2].lower() in _HOMES) or parts == ["root"] or parts[-1].startswith("~")
    return "~" if is_home else parts[-1]


def _paths(begin: str, separator: str, part: str, last: str) -> re.Pattern[str]:
    """Where a path stands in a text; ``part`` is a sign of a folder's name, ``last`` one of what comes last. A blank is
    taken to be a folder's where a user's name stands, and ends a path elsewhere."""
    spaced = rf"(?i:homes?|users){separator}(?:{part})+(?: (?!-)(?:{part})+){{1,2}}{separator}"
    return re.compile(rf"{begin}(?:{spaced}|(?:{part})+{separator})*(?:{last})*")


_HOMES = ("home", "homes", "users")
_SEPARATOR = re.compile(r"(?:\\(?!\s)|/)+")  # \ before a blank is a shell's
_LOGIN = re.compile(
    r"(?<=://)[^/?#\s]*@"
    r"|(?<![\w.@/+\-])[\w.+\-]+@(?=[\w.\-]*[A-Za-z][\w.\-]*:(?!\d+\b)[\w./~])"  # ann@host:/data
    r"|(?<![\w.@/+\-])[\w.+\-]+@(?=[\w\-]+(?:\.[\w\-]+)*\.[A-Za-z]{2,}\b)"  # ann@mail.org
)
_BEGIN = r"(?:file://|~[\w.\-]*/|/|[A-Za-z]:[\\/]|\\\\)"
_BEGIN_OF_PATH = re.compile(_BEGIN)
_IN_QUOTES = re.compile(
    rf"(?P<quote>['\"])(?P<before>[\w.\-]+=|[\w.\-]{{2,}}:(?!//))?(?P<path>{_BEGIN}(?:(?!(?P=quote)).)+)(?P=quote)"
)
_SOMETHING_ELSE = re.compile(r"[,;{}'\"]|(?<!\A)file:|\s(?:[\-/~&|<>]|[A-Za-z]:[\\/])")
_PATH = _paths(
    # not a part of a relative path, of an address or of {folder}/x; but behind a compiler's -I
    begin=r"(?:(?:file://[\w.\-]*|(?:(?<![\w/.~)\]}])|(?<=\s-[A-Za-z]))(?:(?<!:)|(?!//))(?:~[\w.\-]*)?)/+|(?<=:///)/*)",
    separator="/+",
    part=r"[^\s'\"/\\=,:;&|<>]|\\.|[=,:](?![/\s])",
    last=r"[^\s'\"/\\=,:;&|<>]|\\.",
)
_WINDOWS_PATH = _paths(
    begin=r"(?:(?:file:/+|(?<![A-Za-z0-9/]))[A-Za-z]:[\\/]+|(?<![\w\\:])\\\\(?=[^\s\\/'\"]+\\))",
    separator=r"[\\/]+",
    part=r"[^\s'\"\\/,;&|<>]",
    last=r"[^\s'\"\\/=,:;&|<>]",
)
_HOME_OF = re.compile(r"(?<![^\s=:'\"])~[A-Za-z_][\w.\-]*(?![^\s=:'\"])")
_HOME_IN_ADDRESS = re.compile(r"(://[^\s'\"]*?/(?i:homes?|users)/)[^\s/'\"?#]+")


# ── how secrets are found ────────────────────────────────────────────────────────────────────────────────────────────
def _hidden(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    for pattern in patterns:
        text = pattern.sub(rf"\g<before>{HIDDEN}", text)
    return text


def _patterns_of_addresses(*, begin: str, end: str) -> tuple[re.Pattern[str], ...]:
    """``begin`` stands before a parameter; the signs ``end`` are in no address.

    A password goes to the last @ before the path, as urllib reads it. One with a bare / ? or # goes to its first @, as
    SQLAlchemy reads it; but what looks like a port (`http://host:5000/a@b`) begins no password.
    """
    return (
        re.compile(
            rf"(?P<before>://[^:/?#@\[{end}]*:)"  # [ begins an IPv6 host, whose colons mean something else
            rf"(?P<secret>[^/?#{end}]+|(?!\d*[/?#])[^@{end}]+)(?=@)"
        ),
        re.compile(rf"(?P<before>{begin}(?i:password|sslpassword)=)(?P<secret>[^&#{end}]+)"),
    )


_IN_ADDRESS = _patterns_of_addresses(begin="[?&]", end="")
_IN_TEXT = _patterns_of_addresses(begin=r"\b", end=r"\s'\"")  # a blank may stand in an address, but ends one in a text

_NAME_OF_A_SECRET = r"[\w.\-]*(?:pass|pw|passw(?:or)?d|passphrase|pwd|secret|token|key|credentials?|auth)"  # noqa: S105 (a pattern)
_VALUE = r"(?P<secret>'[^']*'|\"[^\"]*\"|(?!--)[^\s&;'\"]+)"
_ASSIGNED = (
    re.compile(rf"(?i)(?P<before>(?<![\w.\-]){_NAME_OF_A_SECRET}\s*=\s*){_VALUE}"),
    re.compile(rf"(?i)(?P<before>['\"]{_NAME_OF_A_SECRET}['\"]\s*:\s*){_VALUE}"),
    # With a bare colon a word alone is none: "unknown key: layer1" says what is wrong.
    re.compile(rf"(?i)(?P<before>(?<![\w.\-])(?=[\w.]*[_\-]|passw|secret){_NAME_OF_A_SECRET}\s*:(?!:)\s*){_VALUE}"),
    re.compile(rf"(?i)(?P<before>\bbearer\s+){_VALUE}"),
    re.compile(r"(?P<before>\b(?i:basic)\s+)(?P<secret>(?=\w+[A-Z\d+/=])[\w+/\-]{4,}=*)"),  # base64, and no word
    re.compile(  # curl's -u NAME:SECRET, also in a list of arguments; not two numbers, which are a user and a group
        r"(?P<before>(?<![\w\-])(?:-u|--user)(?:['\"],\s*|[\s=]*)(?P<quote>['\"])?(?!\d+:\d+\b)[^\s:='\"]+:)"
        r"(?P<secret>(?!/)(?(quote)[^'\"]+|[^\s'\"]+))"
    ),
)
_IN_COMMAND = (
    re.compile(rf"(?i)(?P<before>(?<!\S)-{_NAME_OF_A_SECRET}\s+){_VALUE}"),
    re.compile(rf"(?P<before>(?<!\S)-p\s+)(?![\d.]+(?:\s|$))(?![^\s'\"]*[/{{]){_VALUE}"),
    re.compile(rf"(?P<before>\b(?:mysql|mariadb)\S*\s(?:[^;&|]*\s)?-p)(?!\S*{{){_VALUE}"),
)
"""``--max-tokens`` ends as no secret's name; an option such as ``--sort-key`` is hidden too, which does no harm."""

_TOKENS = (
    re.compile(r"(?P<before>(?<![\w\-])(?:hf_|gh[opsur]_|github_pat_|glpat-|xox[abeprs]-))(?P<secret>[\w\-]{10,})"),
    # Of 43 signs, also behind \n or %20. Names of rates and tables (lrs_trial) begin so too, and none is like the rest;
    # where a cut has left fewer than 32, what is missing is more than anybody can guess.
    re.compile(r"(?P<before>lrs_)(?P<secret>(?=[\w\-]*[A-Z\d])[\w\-]{32,})"),
    re.compile(r"(?P<before>(?<![\w\-])sk-)(?P<secret>(?=[\w\-]*\d)[\w\-]{16,})"),  # a name has seldom a digit there
    re.compile(r"(?P<before>\b(?:AKIA|ASIA))(?P<secret>[0-9A-Z]{16})\b"),
    re.compile(r"(?P<before>\beyJ)(?P<secret>[\w\-]{8,}\.[\w\-]{8,}(?:\.[\w\-]*)*)"),
    re.compile(r"(?i)(?P<before>[?&](?:sig|[\w\-]*signature)=)(?P<secret>[^\s&#'\"]+)"),
)
"""Of Hugging Face, GitHub, GitLab, Slack, our service, OpenAI and its like, AWS, JSON Web Tokens, and signed links."""


def _patterns_of(secret: str) -> tuple[re.Pattern[str], ...]:
    """Where a text holds the secret: as it is written, or as it is meant with each sign quoted or not."""
    meant = unquote(secret)
    forms = f"(?:{re.escape(secret)}|{''.join(map(_either_form, meant))})"
    is_a_word = len(meant) < 3 or (len(meant) <= LONGEST_WORD and (meant.isalpha() or meant.isdecimal()))
    if not is_a_word:
        return (re.compile(f"(?P<before>){forms}"),)
    return (
        re.compile(f"(?P<before>:){forms}(?=@)"),
        re.compile(rf"(?P<before>(?i:password)['\"]?\s*[=:]\s*['\"]?){forms}(?!\w)"),
    )


def _either_form(sign: str) -> str:
    """``a`` is a or %61; a blank and a plus stand for each other in parameters."""
    if sign in " +":
        return r"(?: |\+|(?i:%20|%2b))"
    quoted = "".join(f"%{byte:02x}" for byte in sign.encode(errors="replace"))
    return f"(?:{re.escape(sign)}|(?i:{quoted}))"
