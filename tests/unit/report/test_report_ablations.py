"""Which tables of sweeps a report shows, and in what order."""

from types import SimpleNamespace
from typing import Any

from report_document import table

from fsarctl.report.ablations import ablation_tables


def stored(age: int, *, rows: str = "abc", flags: str = "", **changes: Any) -> tuple[Any, dict[str, Any]]:
    """A table in the store and its artifact; a greater age is later."""
    document = table(first=True) | {"rows": [{"name": name} for name in rows]} | changes
    for name in ("first", "differs", "runs", "key", "command", "created"):
        del document[name]
    manifest = SimpleNamespace(
        stage="ablate",
        slot=f"ablate {document['name']}",
        command=f"fsarctl ablate {document['name']} {flags}".strip(),
        created=f"2026-01-{age:02}T00:00:00+00:00",
        inputs={"a, 1-shot": SimpleNamespace(stage="evaluate", key="k" * 64)},
    )
    return SimpleNamespace(manifest=manifest, key=f"{age:064}"), document


def shown(*tables: tuple[Any, dict[str, Any]]) -> list[tuple[int, bool, str]]:
    """Age, whether it is open, and what tells it apart."""
    found = ablation_tables(tables, [], "kinetics100")
    return [(int(each["key"]), each["first"], each["differs"]) for each in found]


def test_a_later_table_of_fewer_rows_does_not_hide_the_full_one() -> None:
    assert shown(stored(1), stored(2, rows="ab", flags="--rows a b")) == [
        (1, True, "3 rows"),
        (2, False, "2 rows"),
    ]


def test_of_the_same_settings_the_newest_is_shown() -> None:
    assert shown(stored(1), stored(2), stored(3, name="another")) == [(3, True, ""), (2, True, "")]
    # In whatever order the command has its overrides.
    one, other = "--set a.b=1 --set c.d=2", "--set c.d=2 --set a.b=1"
    assert shown(stored(1, flags=one), stored(2, flags=other)) == [(2, True, "")]


def test_tables_of_one_name_say_what_tells_them_apart() -> None:
    later = [
        stored(2, seeds=[0, 1, 2]),
        stored(3, episodes=1, flags="--set eval.episodes=1"),
        stored(4, flags="--set train.lr=0.5", shots=[1, 5]),
    ]
    assert shown(stored(1, seeds=[None]), *later) == [
        (4, True, "1, 5-shot; seeds 0, 1; 40 episodes; train.lr=0.5"),
        (3, False, "1-shot; seeds 0, 1; 1 episode"),
        (2, False, "1-shot; seeds 0, 1, 2; 40 episodes"),
        (1, False, "1-shot; the file's seed; 40 episodes"),
    ]


def test_the_reports_own_dataset_comes_first() -> None:
    ages = [age for age, *_ in shown(stored(1), stored(2, rows="abcdef", benchmark="hmdb51"))]
    assert ages == [1, 2]


def test_a_table_with_failed_runs_is_shown_until_all_have_succeeded() -> None:
    failed = {"failed": {"a, 1-shot": "exit code 3"}}
    assert [age for age, *_ in shown(stored(1), stored(2, **failed))] == [1, 2]
    assert [age for age, *_ in shown(stored(1, **failed), stored(2))] == [2]
    assert [age for age, *_ in shown(stored(1, **failed), stored(2, **failed))] == [2]
