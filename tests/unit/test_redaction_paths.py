"""Of paths in what is promoted or reported only the last part is left, and of homes nothing."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsweep.redaction import public, public_command, public_text


def real(text: str) -> str:
    """A home as it is written on a machine: no file of the repository may name one."""
    return text.replace("§", "/")


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("python /data/ann/nets/train.py --data ~/sets/x", "python train.py --data x"),
        ("/data/ann/nets/net.py:Net", "net.py:Net"),
        ("nets/net.py:Net", "nets/net.py:Net"),
        ("torchrun --log=/tmp/ann/logs train.py", "torchrun --log=logs train.py"),
        ("file:///data/ann/data.csv", "data.csv"),
        ("file://localhost§home/ann/data.csv", "data.csv"),
        ("https://ann@host/models/net", "https://host/models/net"),
        ("https://host:5000/models/net?a=b/c", "https://host:5000/models/net?a=b/c"),
        ("https://host§home/ann/net", "https://host§home/~/net"),
        ("postgresql://ann:secret@host/db", "postgresql://host/db"),
        ("sqlite:///§home/ann/results.db", "sqlite:///results.db"),
        ("a rate of 1/3 and/or 2 / 3", "a rate of 1/3 and/or 2 / 3"),
        ("/srv/ann/hf_abcdefghijklmnop", "hf_***"),
        ("HF_TOKEN=hf_abcdefghijklmnop python t.py", "HF_TOKEN=*** python t.py"),
        ("python $HOME/t.py {folder}/x ./a/b ../c", "python $HOME/t.py {folder}/x ./a/b ../c"),
        ("digits@2f0c and quick@candidate", "digits@2f0c and quick@candidate"),
    ],
)
def test_a_text_says_neither_whose_machine_it_was_nor_a_secret(given: str, left: str) -> None:
    """Folders, user names and secrets go; the rest stays."""
    assert public_text(real(given)) == real(left)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("t.py --root §home/ann", "t.py --root ~"),
        ("t.py --root §home/ann/ --lr 1", "t.py --root ~ --lr 1"),
        ("§home/ann/", "~"),
        ("§Users/ann", "~"),
        ("/mnt§home/ann", "~"),
        ("/root", "~"),
        ("--root=~ann", "--root=~"),
        ("~ann/sets", "sets"),
        (r"C:\Users\ann", "~"),
        ("§home/ann smith/", "~"),
        ("'§home/ann smith'", "'~'"),
    ],
)
def test_a_home_is_named_after_somebody_and_goes_whole(given: str, left: str) -> None:
    """Where other paths leave their last part."""
    assert public_text(real(given)) == real(left)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("--data '/srv/ann smith/sets/x.csv' --lr 1", "--data 'x.csv' --lr 1"),
        ('--data="§home/ann smith/x.csv"', '--data="x.csv"'),
        ("'--data=/srv/ann smith/x.csv' b", "'--data=x.csv' b"),
        ("--data §home/ann smith/sets/x.csv", "--data x.csv"),
        (r"--data §home/ann\ smith/x.csv", "--data x.csv"),
        ("/srv/ann smith/sets/x.csv", "x.csv"),
        (r"C:\Users\ann smith\data\x.csv", "x.csv"),
        ('bash -c "/srv/ann/t.sh --data /srv/ann/x nets/y"', 'bash -c "t.sh --data x nets/y"'),
        ("it's /srv/ann/x, isn't it", "it's x, isn't it"),
    ],
)
def test_a_folder_with_a_blank_in_its_name_goes_too(given: str, left: str) -> None:
    """In quotes, with a shell's backslash, in a home, and where the whole text is a path."""
    assert public_text(real(given)) == real(left)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("data:§home/ann/data", "data:data"),
        ("src:§home/ann/lib", "src:lib"),
        ("PATH=§home/ann/bin:/srv/ann/bin t", "PATH=bin:bin t"),
        ("-v §home/ann/d:/data:ro", "-v d:data:ro"),
        ("-v §home/ann:/data", "-v ~:data"),
        ("cc -I§home/ann/include x.c", "cc -Iinclude x.c"),
        ("/data/k=v/ann/x", "x"),
        ("//srv/ann/x", "x"),
        ("a=/x/ann/1,/y/ann/2", "a=1,2"),
        ("file:///C:§Users/ann/x.csv", "x.csv"),
        ("cd /srv/ann/x && ls", "cd x && ls"),
        ("rsync ann@host:§home/ann/data .", "rsync host:data ."),
        ("git clone git@host.org:team/net.git", "git clone host.org:team/net.git"),
        ("from ann@mail.example.org", "from mail.example.org"),
        (r"C:\nets\ann\train.py", "train.py"),
        ("C:§Users/ann/data/x.csv", "x.csv"),
        (r"python C:\ann\t.py D:\ann\x", "python t.py x"),
        (r"\\server\ann\x.csv", "x.csv"),
        (r"\\?\C:\Users\ann\x.csv", "x.csv"),
    ],
)
def test_a_path_is_known_behind_a_colon_a_drive_or_a_server(given: str, left: str) -> None:
    """And the user before a host goes."""
    assert public_text(real(given)) == real(left)


def test_the_words_of_a_command_are_looked_at_one_by_one() -> None:
    """That it begins with a path does not make a path of it."""
    given = {"command": "/opt/ann/train nets/x.csv {peak_lr}", "data": "/opt/ann smith/x.csv"}
    assert public(given) == {"command": "train nets/x.csv {peak_lr}", "data": "x.csv"}
    assert public_command("/opt/ann/train nets/x.csv") == "train nets/x.csv"


def test_public_values_are_cleaned_however_deep_they_lie() -> None:
    """In objects and lists; numbers and what is not there stay as they are."""
    given = {"a": [{"command": "/data/ann/x.sh", "hub_token": "a1"}, 0.5, None, True], "b": ("/srv/y",)}
    assert public(given) == {"a": [{"command": "x.sh", "hub_token": "***"}, 0.5, None, True], "b": ["y"]}


@given(
    folders=st.lists(st.text("abcxyz019._-", min_size=1, max_size=8).map(lambda each: f"k{each}"), max_size=4),
    before=st.sampled_from(["", "python ", "--data=", "--data ", "data:", "x,", "'", '"', "(", "a:b:"]),
    begin=st.sampled_from(["/", "§home/", "~/", "file:///", "C:\\", "C:/", "§Users/"]),
)
def test_a_folder_of_no_path_is_left(folders: list[str], before: str, begin: str) -> None:
    """Whatever stands before it, and however deep it lies."""
    separator = "\\" if "\\" in begin else "/"
    quote = before if before in ("'", '"') else ""
    path = begin + separator.join(["SOMEBODY", *folders, "x.csv"])
    left = public_text(real(f"{before}{path}{quote} --lr 1"))
    assert left.endswith(f"x.csv{quote} --lr 1")
    assert "SOMEBODY" not in left
    assert not [folder for folder in folders if f"{folder}{separator}" in left]


@pytest.mark.parametrize(
    "text",
    ["/" * 5_000, "/a" * 5_000, "§home/a a a" * 1_000, "a@" * 5_000, "'/a b" * 2_000, "a=:,/" * 2_000, "\\" * 5_000],
)
def test_a_long_text_is_cleaned_in_a_moment(text: str) -> None:
    """No pattern looks in vain from every sign to the end; with one that backtracks this takes minutes."""
    began = time.monotonic()
    text = real(text)
    public_command(f"x {public_text(text)} {text}")
    assert time.monotonic() - began < 60
