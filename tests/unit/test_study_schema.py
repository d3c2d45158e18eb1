"""The JSON Schema for editors and the commented file: both say what the reader of study files takes."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lrsweep.cli.main import app
from lrsweep.cli.new import write_study
from lrsweep.errors import SettingsError
from lrsweep.study import load_study, parse_study
from lrsweep.study.schema import study_schema
from lrsweep.study.tables import TABLES

SCHEMA = study_schema()
CHECKED_IN = resources.files("lrsweep.study").joinpath("study.schema.json")
KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def wrong(value: Any, schema: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """The places that do not fit: as much of JSON Schema as ours uses, so that no library is needed for it."""
    if "$ref" in schema:
        yield from wrong(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], place)
    if "anyOf" in schema and all(list(wrong(value, each)) for each in schema["anyOf"]):
        yield place
    kinds = KINDS.get(schema.get("type", ""))
    is_a_flag = isinstance(value, bool) and schema.get("type") != "boolean"
    if kinds and (not isinstance(value, kinds) or is_a_flag):
        yield place
        return
    if "enum" in schema and value not in schema["enum"]:
        yield place
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield place
    if isinstance(value, int | float) and not (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and schema.get("exclusiveMinimum", -1e99) < value < schema.get("exclusiveMaximum", 1e99)
    ):
        yield place
    if isinstance(value, list):
        for each in value:
            yield from wrong(each, schema.get("items", {}), place)
    if isinstance(value, dict):
        yield from (f"{place}.{key} is missing" for key in schema.get("required", ()) if key not in value)
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for key, each in value.items():
            if key not in known and others is False:
                yield f"{place}.{key}"
            elif key in known or isinstance(others, dict):
                yield from wrong(each, known.get(key, others), f"{place}.{key}")


def problems(text: str) -> list[str]:
    return list(wrong(tomllib.loads(text), SCHEMA))


SMALLEST = '[study]\nname = "q"\nworkload = "digits"\n[budget]\ntrainings = 90\n'


def test_the_schema_has_every_key_of_every_table_and_says_what_it_takes() -> None:
    """Made of the models that read a file, so a new key cannot be forgotten."""
    for model in TABLES.values():
        known = SCHEMA if model is TABLES[()] else SCHEMA["$defs"][model.__name__]
        assert set(known["properties"]) == set(model.model_fields)
        assert known["additionalProperties"] is False
        for name, field in model.model_fields.items():
            assert known["properties"][name]["description"] == field.description
            assert set(known["properties"][name]) - {"description", "default"}, f"{name} takes anything"


def test_the_schema_that_lies_beside_the_code_is_the_present_one() -> None:
    """`lrsweep schema > lrsweep/study/study.schema.json` renews it."""
    printed = CliRunner().invoke(app, ["schema"])
    assert printed.output == CHECKED_IN.read_text(encoding="utf-8")
    assert json.loads(printed.output) == SCHEMA


@pytest.mark.parametrize(
    "text",
    [
        SMALLEST,
        SMALLEST.replace('"digits"', '{name = "digits", noise = 0.1}'),
        SMALLEST.replace('"digits"', '{command = "python train.py", steps = 10, stall_after = "90s"}'),
        f'{SMALLEST}[space]\nfamilies = "all"\nwarmup = "20 steps"\nfloor = [0, 0.1]\nweight_decay = {{sgd = '
        f"[0, 0.1]}}",
        f'{SMALLEST}[space]\nfamilies = ["wsd"]\npeak_lr = [0.1, 1]\nsettings.wsd = {{shape = "linear"}}',
        f'{SMALLEST}[search]\nsampler = "my.own.Sampler"\npruner = {{name = "median", n_warmup_steps = 1}}',
        f'{SMALLEST}[baseline]\nfamily = "cosine"\npeak_lr = 1\n[run]\ndeadline = "6h"\n[tracking]\ntags.a = "b"',
    ],
)
def test_what_the_reader_takes_the_schema_takes(text: str) -> None:
    """An editor that underlines a good file is worse than none."""
    assert problems(text) == []
    if "my.own" not in text and "command" not in text and "peak_lr = [" not in text:
        parse_study(text, "s.toml")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{SMALLEST}trails = 3", ".budget.trails"),
        (f"{SMALLEST}[spaces]\nfloor = 0", ".spaces"),
        (SMALLEST.replace("90", "0"), ".budget.trainings"),
        (SMALLEST.replace('name = "q"\n', ""), ".study.name is missing"),
        (SMALLEST.replace('"q"', '"my net"'), ".study.name"),
        (f'{SMALLEST}[space]\nfamilies = ["cosin"]', ".space.families"),
        (f'{SMALLEST}[space]\noptimizers = ["lion"]', ".space.optimizers"),
        (f"{SMALLEST}[search]\nrungs = 5", ".search.rungs"),
        (f'{SMALLEST}[search]\nfidelity = "half"', ".search.fidelity"),
        (f"{SMALLEST}[selection]\nshare = 1.0", ".selection.share"),
        (f'{SMALLEST}[run]\nengine = "fast"', ".run.engine"),
        (f'{SMALLEST}[baseline]\nfamily = "cosine"', ".baseline.peak_lr is missing"),
        (f'{SMALLEST}[tracking]\nuser = "me"', ".tracking.user"),
    ],
)
def test_what_is_wrong_in_one_key_is_underlined_there(text: str, place: str) -> None:
    """Unknown keys, kinds, limits and names."""
    assert problems(text) == [place]


# ── the commented file ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_commented_file_is_the_study_of_three_lines(tmp_path: Path) -> None:
    """Every key that it sets is set to its default, and it is named after its file."""
    file = tmp_path / "my net.toml"
    said = write_study(file)
    study = load_study(file)
    assert study.name == "my-net"
    assert replace(study, name="q", source="s.toml") == parse_study(SMALLEST, "s.toml")
    assert f"lrsweep plan {file}" in said
    text = file.read_text()
    assert text.startswith("#:schema ./study.schema.json\n")
    assert problems(text) == []


def test_the_commented_file_has_every_key_of_every_table() -> None:
    """Those without a default value as comments, under their own header."""
    found: dict[str, set[str]] = {}
    table = ""
    for line in resources.files("lrsweep.study").joinpath("template.toml").read_text(encoding="utf-8").splitlines():
        if header := re.match(r"(?:# )?\[([a-z.]+)\]", line):
            table = header[1]
        elif key := re.match(r"(?:# )?([a-z_]+)[.a-z]* = ", line):
            found.setdefault(table, set()).add(key[1])
    wanted = {".".join(map(str, place)): set(model.model_fields) for place, model in TABLES.items() if place}
    wanted["study"].discard("engine")  # it has a table of its own
    assert found == wanted


def test_what_the_comments_offer_is_taken() -> None:
    """Each commented key alone, but for those of a script and of the baseline, which need others."""
    lines = resources.files("lrsweep.study").joinpath("template.toml").read_text(encoding="utf-8").splitlines()
    offered = [place for place, line in enumerate(lines) if re.match(r"# [a-z_]+[.a-z]* = ", line)]
    begin, end = lines.index("# [study.workload]"), lines.index("[space]")
    baseline, after = (
        lines.index("# [baseline]"),
        lines.index("[run]                         # options of the command win"),
    )
    only_scripts = next(place for place in offered if lines[place].startswith("# extra"))
    alone = [
        each for each in offered if not begin < each < end and not baseline < each < after and each != only_scripts
    ]
    assert len(alone) > 10
    for place in alone:
        key = lines[place].removeprefix("# ")
        more = ["price_per_hour = 1.0"] if key.startswith("money") else []
        changed = [*lines[:place], key, *more, *lines[place + 1 :]]
        if key.split()[0] in TABLES[("budget",)].model_fields and not key.startswith("price"):
            changed.remove(next(line for line in lines if line.startswith("trainings")))
        parse_study("\n".join(changed).replace('"NAME"', '"q"'), "s.toml")


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """So is a name that no study has."""
    (tmp_path / "a.toml").write_text("mine")
    with pytest.raises(SettingsError, match="is there already"):
        write_study(tmp_path / "a.toml")
    assert (tmp_path / "a.toml").read_text() == "mine"
    with pytest.raises(SettingsError, match=r"wanted a name that ends in \.toml"):
        write_study(tmp_path / "a.py")
    with pytest.raises(SettingsError, match="cannot be written"):
        write_study(tmp_path / "none" / "a.toml")


def test_a_study_in_the_folder_of_studies_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default place, from which `lrsweep run mine` finds it."""
    monkeypatch.chdir(tmp_path)
    write_study(Path("studies/mine.toml"))
    assert load_study("mine").name == "mine"
