"""An exported document as the appendix of a paper: Markdown or LaTeX, from the same tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from fsarctl.progress import counted
from fsarctl.results.interval_text import brackets
from fsarctl.results.markup import latex_text, markdown_text

__all__ = ["Markup", "appendix"]

Markup = Literal["markdown", "latex"]
Table = Sequence[Sequence[str]]
NONE = "–"
OVER = ("episodes", "clips", "groups", "classes")


def appendix(document: Mapping[str, Any], markup: Markup) -> str:
    """Numbers with all intervals, clips and classes, settings, weights and versions, in that order.

    The digest of each clip, and each episode, stand in the JSON file alone.
    """
    head = "% It needs \\usepackage{longtable}.\n" if markup == "latex" else ""
    return head + "\n".join(_render(title, part, markup) for title, part in _sections(document)) + "\n"


def _sections(document: Mapping[str, Any]) -> Iterator[tuple[str, str | Table]]:
    results = document["results"]
    yield "Results", [["result", "model", "accuracy", *OVER, "chance"], *map(_numbers, results)]
    yield (
        "",
        "Accuracy in %; 95 % intervals for other episodes, clips (or groups of them) and classes.",
    )
    yield from _clips(document)
    for part, title in (
        ("eval", "Evaluation"),
        ("model", "Model"),
        ("train", "Training"),
        ("extract", "Frames"),
    ):
        yield title, _by_value([(each["slot"], each["settings"][part] or {}) for each in results])
    yield "Weights", _by_value([(each["slot"], each["weights"]) for each in results])
    yield "Versions", _versions(results)
    remarks = dict.fromkeys(remark for each in results for remark in each["record"].get("remarks", ()))
    if remarks:
        yield "Remarks", [["remark"], *([each] for each in remarks)]


def _numbers(result: Mapping[str, Any]) -> list[str]:
    record = result["record"]
    intervals = record["intervals"]
    told = [
        brackets(intervals[name]) if name in intervals and intervals[name]["low"] is not None else NONE
        for name in OVER
    ]
    return [
        result["slot"],
        result["title"],
        f"{100 * record['accuracy']:.2f}",
        *told,
        f"{100 * record['chance']:.1f}",
    ]


def _clips(document: Mapping[str, Any]) -> Iterator[tuple[str, str | Table]]:
    for each in document["clips"]:
        counts: dict[str, int] = {}
        for _, label, _ in each["clips"]:
            counts[label] = counts.get(label, 0) + 1
        yield (
            f"Clips of {each['dataset']}, {each['split']}",
            (
                f"{counted(len(each['clips']), 'clip')} of {counted(len(counts), 'class', 'es')};"
                f" SHA-256 of their videos' digests: {each['digest']}."
                f" Without frames, and in no episode: {len(each['failed'])}."
            ),
        )
        yield "", [["class", "clips"], *([label, str(counts[label])] for label in sorted(counts))]
        if each["failed"]:
            yield "", [["clip without frames"], *([name] for name, _ in each["failed"])]


def _by_value(of_results: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """A row a setting and value, with the results that have it where others do not."""
    flat = [(slot, dict(_flat(settings))) for slot, settings in of_results]
    rows = []
    for name in dict.fromkeys(name for _, settings in flat for name in settings):
        values: dict[str, list[str]] = {}
        for slot, settings in flat:
            if name in settings:
                values.setdefault(settings[name], []).append(slot)
        if len(values) == 1:
            rows.append(
                [name, next(iter(values)), "" if all(name in s for _, s in flat) else "of those that have it"]
            )
        else:
            rows += [[name, value, ", ".join(slots)] for value, slots in values.items()]
    return [["setting", "value", "where it is not the same for all"], *rows]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            words = value if isinstance(value, list) else [NONE if value in (None, "") else value]
            yield f"{prefix}{name}", ", ".join(map(str, words)) or NONE


def _versions(results: Sequence[Mapping[str, Any]]) -> Table:
    versions = dict.fromkeys(
        pair
        for each in results
        for pair in [
            ("Python", str(each["versions"]["python"])),
            *(each["versions"]["packages"] or {}).items(),
        ]
    )
    stages = dict.fromkeys(
        (f"stage {name}", str(version))
        for each in results
        for name, version in each["versions"]["stages"].items()
    )
    return [["package", "version"], *map(list, versions), *map(list, stages)]


def _render(title: str, part: str | Table, markup: Markup) -> str:
    lines = []
    if markup == "markdown":
        lines += [f"## {markdown_text(title)}", ""] if title else []
        if isinstance(part, str):
            return "\n".join([*lines, markdown_text(part), ""])
        heading, *rows = part
        lines += [
            f"| {' | '.join(map(markdown_text, row))} |" for row in (heading, ["---"] * len(heading), *rows)
        ]
        return "\n".join([*lines, ""])
    lines += [rf"\subsection*{{{latex_text(title)}}}"] if title else []
    if isinstance(part, str):
        return "\n".join([*lines, latex_text(part), ""])
    heading, *rows = part
    lines += [rf"\begin{{longtable}}{{{'l' * len(heading)}}}", r"\hline"]
    lines += [" & ".join(map(latex_text, heading)) + r" \\ \hline"]
    lines += [" & ".join(map(latex_text, row)) + r" \\" for row in rows]
    return "\n".join([*lines, r"\hline", r"\end{longtable}", ""])
