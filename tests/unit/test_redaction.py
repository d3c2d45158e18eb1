"""Passwords are taken out of addresses, texts and links, and harmless words stay."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsweep.redaction import masked, masked_command, names_a_secret, public_link, public_text, shown, without_secrets
from lrsweep.store.tokens import new_token

SECRET_URI = "postgresql+psycopg://me:s%40cret@127.0.0.1:1/db?options=-csearch_path%3Dmlflow"
TOKENS = (
    "hf_aBcDeFgHiJkLmNoPqRsT",
    "ghp_aBcDeFgHiJkLmNoPqRsT0123456789abcdef",
    "github_pat_11ABCDEFG0aBcDeFgHiJkLmNo",
    "glpat-aBcDeFgHiJkLmNoPqRsT",
    "lrs_aBcDeFgHiJkLmNoPqRsT0123456789-_aBcDeFgHiJk",
    "sk-proj-aBcDeFgHiJkLmNoPqR5t",
    "xoxb-123456789012-aBcDeFgHiJkL",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
)
"""What they are is known by how they begin."""
COMMON = "postgresql://postgres:postgres@postgres:5432/postgres"


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("postgresql://ann:secret@db/lrsweep", "postgresql://ann:***@db/lrsweep"),
        (SECRET_URI, "postgresql+psycopg://me:***@127.0.0.1:1/db?options=-csearch_path%3Dmlflow"),
        ("postgresql://ann:p@ss@db/x", "postgresql://ann:***@db/x"),
        ("postgresql://ann:a/b?c#d@db/x", "postgresql://ann:***@db/x"),
        ("postgresql+psycopg://ann:two words@db/x", "postgresql+psycopg://ann:***@db/x"),
        ("postgresql://me:a[b@h/db", "postgresql://me:***@h/db"),
        ("https://:token@host/mlflow", "https://:***@host/mlflow"),
        ("postgresql://db/x?user=ann&password=p%20w&a=b", "postgresql://db/x?user=ann&password=***&a=b"),
        ("postgresql://db/x?sslpassword=key#part", "postgresql://db/x?sslpassword=***#part"),
        ("postgresql://ann:one@db/x?password=two&sslpassword=three", "postgresql://ann:***@db/x?password=***&sslpassword=***"),
        (COMMON, "postgresql://postgres:***@postgres:5432/postgres"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_passwords(uri: str, wanted: str) -> None:
    """Quoted or not, in front of the host or among the parameters; the user, the host and the rest stay."""
    assert shown(uri) == wanted


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000/a@b",
        "http://[::1]:5000/a@b",
        "http://host:5000?mail=a@b",
        "postgresql://ann@db/x",
        "sqlite:////data/results.db",
        "http://[x",
        "",
    ],
)
def test_an_address_without_a_password_is_shown_as_it_is(uri: str) -> None:
    """A port is no password, also where an @ follows later; an address that nobody can read is no error here."""
    assert shown(uri) == uri


@pytest.mark.parametrize(
    ("text", "uri", "wanted"),
    [
        ("to me:pw@h", "postgresql://me:pw@h/db", "to me:***@h"),
        ("tried s%40cret and s@cret", SECRET_URI, "tried *** and ***"),
        ("as s%40%63ret", SECRET_URI, "as ***"),
        ("glued_s@cret2", SECRET_URI, "glued_***2"),
        ("conninfo password=p w", "postgresql://h/db?user=me&password=p%20w", "conninfo password=***"),
        ("or p+w", "postgresql://h/db?user=me&password=p%20w", "or ***"),
        ("the key's k%2f1", "postgresql://h/db?sslpassword=k/1", "the key's ***"),
        ("with a[b", "postgresql://me:a[b@h/db", "with ***"),
        ("für %c3%bc-%C3%BC", "postgresql://me:ü-ü@h/db", "für ***"),
        ("nobody at h", "postgresql://h/db", "nobody at h"),
        ("abc-de then abc-def", "postgresql://me:abc-de@h/db?password=abc-def", "*** then ***"),
    ],
)
def test_a_text_loses_the_passwords_of_the_address(text: str, uri: str, wanted: str) -> None:
    """As written in the address, as meant by it, and in any mix of quoted and unquoted signs."""
    assert without_secrets(text, uri) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("to mysql://other:word@h/db", "to mysql://other:***@h/db"),
        ("host=h password=word user=me", "host=h password=*** user=me"),
        ("at http://127.0.0.1:5000/a@b", "at http://127.0.0.1:5000/a@b"),
        ("see http://h:80/x and write to a@b", "see http://h:80/x and write to a@b"),
        ('password authentication failed for user "me"', 'password authentication failed for user "me"'),
    ],
)
def test_a_text_loses_the_passwords_of_other_addresses_too(text: str, wanted: str) -> None:
    """They are known by where they stand; a port, a mail address and the word itself are none."""
    assert without_secrets(text, "sqlite:///a.db") == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"no route to {COMMON}", "no route to postgresql://postgres:***@postgres:5432/postgres"),
        ('role "postgres" does not exist', 'role "postgres" does not exist'),
        ("postgres:postgres@postgres", "postgres:***@postgres"),
        ("connect(user='postgres', password='postgres')", "connect(user='postgres', password='***')"),
        ("{'user': 'postgres', 'password': 'postgres'}", "{'user': 'postgres', 'password': '***'}"),
    ],
)
def test_a_common_word_is_hidden_only_where_a_password_stands(text: str, wanted: str) -> None:
    """``postgres`` is the user, the host, the database and the password: three of the four stay readable."""
    assert without_secrets(text, COMMON) == wanted


@pytest.mark.parametrize(
    ("password", "is_hidden"),
    [("5432", False), ("a", False), (".", False), ("tenletters", False), ("elevenlongs", True), ("pw1", True)],
)
def test_what_may_be_an_ordinary_word_is_decided_by_its_length_and_signs(password: str, is_hidden: bool) -> None:
    """Up to ten letters or digits alone, or under three signs: such a password stays where it stands by itself."""
    wanted = "port *** is taken" if is_hidden else f"port {password} is taken"
    assert without_secrets(f"port {password} is taken", f"postgresql://ann:{password}@h/x") == wanted


@given(password=st.text(min_size=1), in_front=st.booleans())
def test_no_quoted_password_is_left(password: str, in_front: bool) -> None:
    """Whatever the password, and wherever it stands: the address, and a text about it, have *** in its place."""
    quoted = quote(password, safe="")
    before, after = ("postgresql://ann:", "@db/x") if in_front else ("postgresql://ann@db/x?password=", "&a=b")
    uri = f"{before}{quoted}{after}"
    assert shown(uri) == f"{before}***{after}"
    assert f"{quoted}{after}" not in without_secrets(f"no route to {uri}", uri)


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("http://user:pw@host", "http://host"),
        ("https://token@host:5000/mlflow", "https://host:5000/mlflow"),
        ("http://ann:a/b@host:5000/", "http://host:5000/"),
        ("http://ann:p@ss@host/a@b", "http://host/a@b"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("http://host/?password=pw", "http://host/?password=***"),
    ],
)
def test_a_printed_link_names_nobody(uri: str, wanted: str) -> None:
    """Neither user, token nor password; a browser asks for them. An @ in the path is no user's."""
    assert public_link(uri) == wanted


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("python train.py --password hunter2 --lr 0.1", "hunter2"),
        ("python train.py --api-key='a b' --lr 0.1", "a b"),
        ("WANDB_API_KEY=a1b2 python train.py --lr 0.1", "a1b2"),
        ("curl -H 'Authorization: Bearer a1b2' && python train.py --lr 0.1", "a1b2"),
        ("python train.py --store https://host/x?access_token=a1b2&n=1 --lr 0.1", "a1b2"),
        ("python train.py --db postgresql://ann:a1b2@host/db --lr 0.1", "a1b2"),
        ("mysqldump -p hunter2 --lr 0.1", "hunter2"),
        ("ftp -pw 'a b' --pass c4d5 --lr 0.1", "a b"),
        ("python train.py --pass c4d5 --lr 0.1", "c4d5"),
        ("mysqldump --port 3306 -phunter2 --lr 0.1", "hunter2"),
        *((f"python train.py --hub {token} --lr 0.1", token[8:]) for token in TOKENS),
    ],
)
def test_a_command_line_is_shown_without_its_secrets(line: str, secret: str) -> None:
    """The rest stays: it says how a training was run."""
    masked = masked_command(line)
    assert secret not in masked
    assert masked.endswith("--lr 0.1")


def test_what_is_no_secret_of_a_command_line_stays() -> None:
    """Names that only begin like a secret's, and switches without a value."""
    line = "python train.py --tokenizer bert --max-tokens 512 --use-auth --lr {peak_lr}"
    assert masked_command(line) == line
    short = (
        "ssh -p 8080 h && mkdir -p runs/a && train -p {peak_lr} --model sk-learn-of-the-lab --to task-list-of-the-24"
    )
    assert masked_command(short) == short


@pytest.mark.parametrize("token", TOKENS)
def test_an_error_is_told_without_the_secrets_in_it(token: str) -> None:
    """Addresses, tokens by how they begin, and values of what is named as a secret; numbers and names stay."""
    text = f"HTTPError: 401 for https://ann:s3cret@host/x, tried {token}; api_key='q1w2' of mat1 (64x784), -p is basic"
    told = masked(text)
    assert token[8:] not in told
    assert told.startswith("HTTPError: 401 for https://ann:***@host/x, tried ")
    assert told.endswith("***; api_key=*** of mat1 (64x784), -p is basic")
    assert token[8:] not in without_secrets(text, "sqlite:///a.db")


@pytest.mark.parametrize("before", ["", "Bearer ", "token is\\n", "?t=a%20", "'", "http://h/x/"])
def test_a_token_of_the_service_is_hidden_wherever_it_stands(before: str) -> None:
    """A fresh one of its 43 signs, and one that loses its last eleven where a text is cut."""
    token = new_token()
    for told in (token, token[:-11]):
        for hide in (masked, masked_command, public_text, lambda text: without_secrets(text, "sqlite:///a.db")):
            assert told[4:] not in hide(f"refused: {before}{told}")
    assert masked(f"refused: {token}, scope read") == "refused: lrs_***, scope read"


@pytest.mark.parametrize(
    "name", ["lrs_example_losses_training_id_is_a_foreign_key", "base_lrs_2_of_all_groups", "lrs_alembic_version"]
)
def test_a_name_that_begins_like_a_token_of_the_service_stays(name: str) -> None:
    """Tables, their keys, and rates of a script."""
    assert masked(f"KeyError: {name}") == f"KeyError: {name}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Authorization: Basic YWxpY2U6c2VjcmV0, refused", "Authorization: Basic ***, refused"),
        ("curl -u ann:hunter2 https://h/x", "curl -u ann:*** https://h/x"),
        ("curl -u'ann:two words' https://h/x", "curl -u'ann:***' https://h/x"),
        ("curl --user ann:12345", "curl --user ann:***"),
        ("Command '['curl', '--user', 'ann:hunter2']' failed", "Command '['curl', '--user', 'ann:***']' failed"),
        ("OPENAI_API_KEY: a1b2 is wrong", "OPENAI_API_KEY: *** is wrong"),
        ("x-api-key:a1b2", "x-api-key:***"),
        ("password: a1b2", "password: ***"),
        ("403 for https://h/x?sv=2&sig=a%2Fb%3D&se=1", "403 for https://h/x?sv=2&sig=***&se=1"),
        ("403 for https://h/x?X-Amz-Signature=a1b2", "403 for https://h/x?X-Amz-Signature=***"),
    ],
)
def test_secrets_are_known_by_what_stands_before_them(text: str, wanted: str) -> None:
    """Headers, curl's user, names with a colon, signed links; in an error as in a command line."""
    assert masked(text) == masked_command(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'lr' of a basic block, a Basic Linear layer",
        "unexpected token: } and unknown key: model.layer1.weight",
        "in std::my_key::find at sig=0.5",
        "docker run -u 1000:1000 --user-agent a:b && sort -u x && python -u train.py",
        "rsync -u host:/data . && mkdir -pv runs",
    ],
)
def test_what_only_looks_like_a_secrets_place_stays(text: str) -> None:
    """Words of an error say what is wrong; two numbers are a user and a group."""
    assert masked(text) == masked_command(text) == text


def test_a_signed_link_is_hidden_also_beside_an_address_of_ours() -> None:
    """MLflow's server gives such links to artifacts in a bucket, and they stand in its errors."""
    assert without_secrets("for https://b/x?X-Goog-Signature=a1", "http://h") == "for https://b/x?X-Goog-Signature=***"


def test_a_parameters_name_may_say_that_it_is_a_secret() -> None:
    """As options of a command do."""
    assert all(map(names_a_secret, ("hub_token", "API_KEY", "password", "db.passwd", "auth")))
    assert not any(map(names_a_secret, ("tokenizer", "max_tokens", "dropout", "author", "keys_per_head")))
