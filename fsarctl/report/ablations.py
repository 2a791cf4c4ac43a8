"""Which of the stored tables of sweeps a report shows, in what order, and what tells them apart."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fsarctl.artifacts import Artifact
from fsarctl.artifacts.command import Command
from fsarctl.progress import counted

__all__ = ["ablation_tables"]


def ablation_tables(
    tables: Sequence[tuple[Artifact, Mapping[str, Any]]], listed: Iterable[Artifact], benchmark: str
) -> list[dict[str, Any]]:
    """The newest table of each name and settings, with the commands of their runs, by name.

    Of one name the fullest comes first, with ``first``: those of ``benchmark``, whole ones, those of the most
    rows, then the newest. ``differs`` says what sets a table apart from others of its name, ``""`` if there
    are none. ``tables`` are artifacts, by age, and what they say; ``listed`` is all that the store holds.
    """
    commands = {(each.manifest.stage, each.key): each.manifest.command for each in listed}
    distinct: dict[tuple[Any, ...], dict[str, Any]] = {}
    for artifact, table in tables:
        settings = (table["benchmark"], *_settings(table, artifact.manifest.command).values())
        # A table with failed runs is of use until all of them have succeeded.
        whole, broken = (table["name"], False, *settings), (table["name"], True, *settings)
        distinct.pop(broken, None)
        distinct[broken if table.get("failed") else whole] = {
            **table,
            "key": artifact.key,
            "command": artifact.manifest.command,
            "created": artifact.manifest.created,
            "runs": {
                name: commands.get((source.stage, source.key), "")
                for name, source in artifact.manifest.inputs.items()
            },
        }
    documents = sorted(distinct.values(), key=lambda each: each["created"], reverse=True)
    documents.sort(
        key=lambda each: (
            each["name"], each["benchmark"] != benchmark, bool(each.get("failed")), -len(each["rows"]),
        )
    )  # fmt: skip
    by_name: dict[str, list[dict[str, Any]]] = {}
    for each in documents:
        by_name.setdefault(each["name"], []).append(each)
    return [
        {**each, "first": each is group[0], "differs": _differs(each, group)}
        for group in by_name.values()
        for each in group
    ]


def _settings(table: Mapping[str, Any], command: str) -> dict[str, tuple[Any, ...]]:
    """What of a sweep a user can choose: rows, shots, seeds, episodes, and overrides in its command."""
    return {
        "rows": tuple(row["name"] for row in table["rows"]),
        "shots": tuple(table["shots"]),
        "seeds": tuple(table["seeds"]),
        "episodes": (table["episodes"],),
        "overrides": tuple(sorted(Command.parse(command).values("--set"))),
    }


def _differs(table: Mapping[str, Any], group: Sequence[Mapping[str, Any]]) -> str:
    """In words, what of its settings others of the group do not have."""
    each = _settings(table, table["command"])
    others = [_settings(other, other["command"]) for other in group]
    different = {name for name in each if any(other[name] != each[name] for other in others)}
    seeds = [str(seed) for seed in each["seeds"] if seed is not None]
    (episodes,) = each["episodes"]
    said = {
        "rows": counted(len(each["rows"]), "row"),
        "shots": f"{', '.join(map(str, each['shots']))}-shot",
        "seeds": f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}" if seeds else "the file's seed",
        "episodes": counted(episodes, "episode") if episodes else "no episodes",
        # The episodes' number is said already.
        "overrides": ", ".join(o for o in each["overrides"] if not o.startswith("eval.episodes=")),
    }
    return "; ".join(said[name] for name in each if name in different and said[name])
