"""The JSON Schema of a study file, for editors: made of the models that read it, so the two cannot differ."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from lrsweep.study.tables import File


class _Quiet(GenerateJsonSchema):
    """A default that is no JSON (a frozen value of ours) is left out, which needs no warning."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012


def study_schema() -> dict[str, Any]:
    made = File.model_json_schema(schema_generator=_Quiet)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_told(made),
        "title": "A study of lrsweep",
        "description": "What is searched, with which budget, and what the winner is compared with.",
    }


def _told(schema: Any) -> Any:
    """Without titles, which repeat the keys, models' docstrings, which are for readers of the code, and null: there is
    none in TOML."""
    if isinstance(schema, list):
        return [_told(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {
        key: {name: _told(each) for name, each in value.items()} if key in ("properties", "$defs") else _told(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    if "properties" in told:
        told.pop("description", None)
    if "anyOf" in told:
        forms = [form for form in told.pop("anyOf") if form != {"type": "null"}]
        told = {**forms[0], **told} if len(forms) == 1 else {"anyOf": forms, **told}
    return told
