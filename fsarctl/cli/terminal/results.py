"""What commands print on stdout: tables for people, one JSON document with --json."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fsarctl.cli.terminal.console import echo, print_json, print_table, say, styled
from fsarctl.models.strategies import FROZEN, TITLES
from fsarctl.progress import counted
from fsarctl.results.evaluated import called
from fsarctl.results.interval_text import brackets, legend, over_classes, with_interval

if TYPE_CHECKING:
    from fsarctl.artifacts import Artifact
    from fsarctl.results.exchange.comparison import SharedComparison
    from fsarctl.results.exchange.reading import ExportedResult
    from fsarctl.results.result import Comparison, Result
    from fsarctl.results.texts_read import TextsRead

__all__ = ["print_comparison", "print_results", "print_shared_comparison"]

INTERVAL_FIELDS = ("half_width", "intervals", "headline")


def print_results(
    results: Sequence[tuple["Artifact", "Result"]],
    warnings: Sequence[str],
    undescribed: Sequence[str],
    texts: "TextsRead",
    *,
    as_json: bool,
) -> None:
    """Accuracy with its interval per shot, the models side by side, and their paired difference."""
    shots = sorted({result.record["shot"] for _, result in results})
    by_shot = {s: {r.record["model"]: r for _, r in results if r.record["shot"] == s} for s in shots}
    gains = {shot: _gain(models) for shot, models in by_shot.items()}
    if as_json:
        rows = [{**r.record, "slot": a.manifest.slot, "key": a.manifest.key} for a, r in results]
        paired = [{"shot": shot, **gain.as_json()} for shot, gain in gains.items() if gain]
        print_json(
            {
                "schema": "fsarctl.eval/1",
                "warnings": list(warnings),
                "undescribed": list(undescribed),
                "texts": texts._asdict(),
                "results": rows,
                "gains": paired,
            }
        )
        return
    from rich.table import Table

    record = results[0][1].record
    alone = "each query alone" if record["query_mode"] == "independent" else "queries scored jointly"
    echo(
        f"{record['way']}-way, {record['episodes']:,} episodes of {len(record['classes'])}"
        f" {record['split']} classes ({_clips(record)}), {record['query']} query per class, {alone}"
        + (f"; support and query share none of the {record['groups']:,} groups" if "groups" in record else "")
    )
    table = Table()
    there = dict.fromkeys(name for each in by_shot.values() for name in each)
    models = sorted(there, key=lambda name: [*TITLES, name].index(name))
    titles = {r.record["model"]: called(r.record["model"], a.manifest.config) for a, r in results}
    table.add_column("shots", justify="right")
    table.add_column("chance", justify="right")
    for name in models:
        table.add_column(styled(titles[name]), justify="right")
    if any(gains.values()):
        table.add_column("gain", justify="right")
    for shot, each in by_shot.items():
        cells = [str(shot), f"{100 * record['chance']:.1f}"]
        cells += [_accuracy(each[name].record) if name in each else "" for name in models]
        gain = gains[shot]
        table.add_row(*cells, *([_points(gain)] if gain else []))
    print_table(table)
    remark = "; the gain is paired over the same episodes" if any(gains.values()) else ""
    records = [result.record for _, result in results]
    echo(f"accuracy in %; {legend(records)}{remark}")
    for name in models if FROZEN in models else ():
        if name != FROZEN:
            echo(texts.words(titles[FROZEN], titles[name]))
    for shot, each in by_shot.items():
        others = ", ".join(
            f"{titles[name]} {over_classes(each[name].record)}" for name in models if name in each
        )
        echo(f"for other classes than these {len(record['classes'])}, {shot}-shot: {others}")
    if record["classes_missing"]:
        say(f"classes without any video, which no episode has: {', '.join(record['classes_missing'])}")
    failed = record["clips_failed"]
    if failed:
        say(f"{failed} clips of this split could not be decoded; see failures.json of its extract artifact")


def print_comparison(
    results: Sequence[tuple["Artifact", "Result"]], found: "Comparison", *, as_json: bool
) -> None:
    """Two results and their paired difference: the second minus the first."""
    if as_json:
        first, second = (
            {
                "slot": a.manifest.slot,
                "key": a.manifest.key,
                **{name: r.record[name] for name in ("accuracy", *INTERVAL_FIELDS)},
            }
            for a, r in results
        )
        document = {"schema": "fsarctl.compare/1", "first": first, "second": second, **found.as_json()}
        print_json(document)
        return
    width = max(len(artifact.manifest.slot) for artifact, _ in results)
    for name, (artifact, result) in zip("AB", results, strict=True):
        accuracy = _accuracy(result.record)
        echo(f"{name}      {artifact.manifest.slot:<{width}}  {artifact.key[:12]}  {accuracy:>11}")
    _print_difference(found.as_json())


def print_shared_comparison(
    pair: "tuple[ExportedResult, ExportedResult]", found: "SharedComparison", *, as_json: bool
) -> None:
    """Two results of different people and their difference on what both have: the second minus the first."""
    document = found.as_json()
    if as_json:
        first, second = (
            {
                "slot": each.slot,
                "key": each.key,
                "title": each.title,
                **{name: each.record[name] for name in ("accuracy", *INTERVAL_FIELDS)},
            }
            for each in pair
        )
        print_json({"schema": "fsarctl.compare/1", "first": first, "second": second, **document})
        return
    width = max(len(each.slot) for each in pair)
    for name, each, accuracy in zip("AB", pair, document["accuracies"], strict=True):
        own = f"{_accuracy(each.record):>11}"
        echo(f"{name}      {each.slot:<{width}}  {each.key[:12]}  {own}, here {100 * accuracy:.1f}")
    shared = document["shared"]
    echo(
        f"both have {counted(shared['clips'], 'clip')}: {shared['by_digest']:,} by content,"
        f" {shared['by_name']:,} by name; of A's {len(pair[0].clips):,} and B's {len(pair[1].clips):,}"
    )
    if document["paired"] == "clips":
        episodes = [len(each.predictions.query) for each in pair]
        whole = shared["episodes_of_shared_clips"]
        echo(
            f"the episodes differ ({shared['same_episodes']:,} are the same); of A's {episodes[0]:,}"
            f" {whole[0]:,} hold only clips that both have, of B's {episodes[1]:,} {whole[1]:,}"
        )
    _print_difference(document)
    for remark in document["remarks"]:
        say(f"remark: {remark}")


def _print_difference(document: Mapping[str, Any]) -> None:
    """The difference of a comparison, its intervals and tests; by episodes, or by clips that are shared."""
    points = with_interval(f"{100 * document['difference']:+.1f}", document, signed=True)
    if "episodes" in document:
        echo(f"B - A  {points} points over the same {document['episodes']:,} episodes")
    else:
        echo(f"B - A  {points} points, paired by the {document['clips']:,} clips that both asked about")
    for name, interval in document["intervals"].items():
        echo(f"over {interval['count']:,} {name}: {_with_p(interval)}")
    if "episodes" in document:
        echo(f"B alone is right on {document['gained']:,} queries, A alone on {document['lost']:,}")
        if document["episodes"] < 30:
            say("warning: interval and test need 30 episodes or more to be worth much")


def _with_p(interval: Mapping[str, Any]) -> str:
    if interval["low"] is None:
        return "no interval"
    p = "p < 0.0001" if interval["p"] < 1e-4 else f"p = {interval['p']:.4f}"
    return f"{brackets(interval, signed=True)}, {p}"


def _gain(models: dict[str, "Result"]) -> "Comparison | None":
    from fsarctl.results.result import compare

    if len(models) < 2:
        return None
    trained = next(result for name, result in models.items() if name != "frozen")
    return compare(models["frozen"], trained)


def _points(found: "Comparison") -> str:
    return with_interval(f"{100 * found.difference.mean:+.1f}", found.as_json(), signed=True)


def _clips(record: Mapping[str, Any]) -> str:
    """How many clips there were, and of how many if some are missing or failed."""
    expected = record["clips_expected"]
    of = "" if expected == record["clips"] else f" of {expected:,}"
    return f"{record['clips']:,}{of} clips"


def _accuracy(record: Mapping[str, Any]) -> str:
    return with_interval(f"{100 * record['accuracy']:.1f}", record)
