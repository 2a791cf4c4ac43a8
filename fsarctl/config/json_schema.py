"""A JSON schema of fsarctl.toml, which editors read to complete and check it."""

from dataclasses import fields, is_dataclass
from typing import Any, get_args

from fsarctl.config.dataset_table import KIND_SETTINGS
from fsarctl.config.methods import method_names
from fsarctl.config.model_table import MetricName
from fsarctl.config.tables import Config

__all__ = ["SCHEMA_FILE", "known_parts", "schema"]

SCHEMA_FILE = "fsarctl.schema.json"


def known_parts() -> dict[str, tuple[str, ...]]:
    """fsarctl's own parts by group; backbones are open_clip's, and too many to list."""
    return {"methods": method_names(), "metrics": get_args(MetricName), "datasets": tuple(KIND_SETTINGS)}


def schema() -> dict[str, Any]:
    """The schema: every table and setting with its type, allowed values, default and meaning."""
    from pydantic import TypeAdapter

    found = TypeAdapter(Config).json_schema()
    tables = {each.__name__: each for each in _tables(Config)}
    for name, definition in found["$defs"].items():
        definition["additionalProperties"] = False
        if name not in tables:
            continue
        definition["description"] = (tables[name].__doc__ or "").strip().partition("\n")[0]
        for each in fields(tables[name]):
            described = definition["properties"][each.name]
            if meaning := each.metadata.get("meaning"):
                described["description"] = meaning
            if known := known_parts().get(each.metadata.get("part", "")):
                described["anyOf"] = [{"enum": list(known)}, {"type": "string"}]
                described.pop("type", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "title": "fsarctl.toml",
        "additionalProperties": False,
    }


def _tables(config: type[Any]) -> list[type[Any]]:
    """The dataclasses of all tables, however deep."""
    found: list[type[Any]] = []
    for each in fields(config):
        for kind in (each.type, *get_args(each.type)):
            if isinstance(kind, type) and is_dataclass(kind) and kind not in found:
                found += [kind, *_tables(kind)]
    return found
