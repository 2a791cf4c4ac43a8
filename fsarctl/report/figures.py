"""Charts as SVG that takes its colours and its letters from the page around it.

They are drawn at the width of a phone and never enlarged, so that text keeps its size; several stand side by
side on a wide screen. What is drawn in a colour of ``ROLES`` becomes a variable of the page's style.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from fsarctl.results.interval_text import ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_by_shots", "accuracy_by_way", "reliability_diagram", "training_curves"]

ROLES = {
    "#000010": "var(--ink)",
    "#000020": "var(--muted)",
    "#000030": "var(--line)",
    "#000040": "var(--surface)",
    "#000050": "var(--frozen)",
    "#000060": "var(--own)",
    "#000070": "var(--third)",
    "#000080": "var(--paper)",
}
INK, MUTED, LINE, SURFACE, FROZEN, OWN, THIRD, PAPER = ROLES
SERIES = (OWN, FROZEN, THIRD, PAPER, MUTED)
LEGEND_LETTERS = 28
"""As many stand on one line."""
MARKERS = ("o", "s", "^", "D", "v")
WIDTH, HEIGHT = 348, 264
"""CSS pixels."""
DPI = 96
FONT = 9
"""Points; 12 CSS pixels."""


def accuracy_by_shots(results: Sequence[Mapping[str, Any]], paper: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy with its interval against the number of shots, a line for each model."""
    figure, axes = _figure()
    shots = sorted({each["shot"] for each in results})
    lines = _by_title(results)
    for (title, points), (colour, marker) in zip(lines.items(), _styles(lines), strict=False):
        _errorbars(axes, [p["shot"] for p in points], points, title, colour, marker)
    known = [each for each in paper if each["shot"] in shots]
    if known:
        axes.plot(
            [each["shot"] for each in known],
            [100 * each["accuracy"] for each in known],
            "D",
            color=PAPER,
            label=f"{known[0]['title']}, paper",
        )
    axes.axhline(100 * results[0]["chance"], color=MUTED, linestyle=(0, (4, 3)), linewidth=1, label="chance")
    axes.set_xticks(shots)
    axes.set_xlim(min(shots) - 0.35, max(shots) + 0.35)
    _percent(axes)
    axes.set_xlabel("shots (support clips per class)")
    axes.set_ylabel("accuracy, %")
    _legend(figure, axes)
    return _svg(figure, "shots")


def accuracy_by_way(curves: Sequence[Mapping[str, Any]]) -> str:
    """Figure 9: accuracy with its interval against the number of classes in an episode."""
    figure, axes = _figure()
    titles = {curve["title"]: curve["points"] for curve in curves}
    for (title, points), (colour, marker) in zip(titles.items(), _styles(titles), strict=False):
        _errorbars(axes, [p["way"] for p in points], points, title, colour, marker)
    points = max(titles.values(), key=len)
    ways = [each["way"] for each in points]
    chance = [100 * each["chance"] for each in points]
    axes.plot(ways, chance, color=MUTED, linestyle=(0, (4, 3)), linewidth=1, label="chance")
    axes.set_xticks(ways)
    _percent(axes)
    axes.set_xlabel("way (classes in an episode)")
    axes.set_ylabel("accuracy, %")
    _legend(figure, axes)
    return _svg(figure, "ways")


def training_curves(training: Mapping[str, Any]) -> str:
    """Loss, and accuracy on base and validation classes, against training episodes; the kept epoch marked."""
    from matplotlib.ticker import MaxNLocator

    figure, (above, below) = _figure(2)
    intervals = [line for line in training["log"] if line["kind"] == "interval"]
    epochs = [line for line in training["log"] if line["kind"] == "epoch"]
    steps = [line["step"] for line in intervals]
    above.plot(steps, [line["loss"] for line in intervals], color=FROZEN, linewidth=1.2)
    above.set_ylim(0, 1.08 * max(line["loss"] for line in intervals))
    above.yaxis.set_major_locator(MaxNLocator(3))
    above.set_ylabel("loss")
    below.plot(
        steps, [100 * line["accuracy"] for line in intervals], color=FROZEN, linewidth=1.2, label="base"
    )
    ends = [line["step"] for line in epochs]
    accuracies = [100 * line["val_accuracy"] for line in epochs]
    below.plot(ends, accuracies, color=OWN, marker="o", markersize=3.5, linewidth=1.6, label="validation")
    kept = epochs[training["best_epoch"] - 1]
    below.plot(
        [kept["step"]],
        [100 * kept["val_accuracy"]],
        "o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor=INK,
        label="kept",
    )
    _percent(below)
    below.set_ylabel("accuracy, %")
    below.set_xlabel("training episodes")
    for axes in (above, below):
        axes.set_xlim(0, ends[-1] * 1.04)
    _legend(figure, below)
    return _svg(figure, f"training-{training['shot']}")


def reliability_diagram(calibration: Mapping[str, Any]) -> str:
    """How often answers are right against how sure they are; what is calibrated lies on the diagonal."""
    figure, axes = _figure()
    parts = calibration["open"]
    names = {"plain": "softmax alone", "calibrated": "calibrated, with none of these"}
    for (part, name), (colour, marker) in zip(names.items(), ((FROZEN, "s"), (OWN, "o")), strict=True):
        bins = [each for each in parts[part]["bins"] if each["count"]]
        axes.plot(
            [100 * each["confidence"] for each in bins],
            [100 * each["accuracy"] for each in bins],
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1.6,
            label=name,
        )
    axes.plot([0, 100], [0, 100], color=MUTED, linestyle=(0, (4, 3)), linewidth=1, label="as sure as right")
    axes.set_xlim(0, 103)
    _percent(axes)
    axes.set_xlabel("confidence, %")
    axes.set_ylabel("right, %")
    _legend(figure, axes)
    return _svg(figure, f"reliability-{calibration['shot']}")


def _by_title(results: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for each in sorted(results, key=lambda result: result["shot"]):
        lines.setdefault(each["title"], []).append(each)
    return lines


def _styles(titles: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Colour and marker of each line; the frozen model's is always the same."""
    others = iter([pair for pair in zip(SERIES, MARKERS, strict=True) if pair[0] != FROZEN])
    frozen = (FROZEN, MARKERS[SERIES.index(FROZEN)])
    # The last one is what the project is about.
    own = next(others)
    names = list(titles)
    return [
        frozen if name.startswith("frozen") else own if name == names[-1] else next(others, (MUTED, "x"))
        for name in names
    ]


def _figure(panels: int = 1) -> tuple["Figure", Any]:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_style()):
        figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), layout="constrained")
        axes = figure.subplots(panels, 1, sharex=panels > 1, height_ratios=[1] if panels == 1 else [2, 3])
        for each in [axes] if panels == 1 else axes:
            each.grid(axis="y", color=LINE, linewidth=0.8)
            each.set_axisbelow(True)
    return figure, axes


def _style(**more: str) -> Any:
    """matplotlib's settings, whose names are literal types there."""
    return {
        **{name.replace("_", "."): value for name, value in more.items()},
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.size": FONT,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": LINE,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.labelsize": FONT,
        "figure.facecolor": "none",
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "xtick.labelsize": FONT,
        "ytick.labelsize": FONT,
        "legend.fontsize": FONT,
        "legend.frameon": False,
    }


def _errorbars(
    axes: "Axes",
    places: Sequence[int],
    points: Sequence[Mapping[str, Any]],
    title: str,
    colour: str,
    marker: str,
) -> None:
    axes.errorbar(
        places,
        [100 * each["accuracy"] for each in points],
        yerr=[
            [100 * (each["accuracy"] - ends(each)[0]) for each in points],
            [100 * (ends(each)[1] - each["accuracy"]) for each in points],
        ],
        color=colour,
        marker=marker,
        markersize=4,
        linewidth=1.6,
        capsize=3,
        label=title,
    )


def _percent(axes: "Axes") -> None:
    axes.set_ylim(0, 103)
    axes.set_yticks(range(0, 101, 20))


def _legend(figure: "Figure", axes: "Axes") -> None:
    import matplotlib

    lines = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    # What the page is about first, and what is no result of ours last.
    order = sorted(
        lines, key=lambda label: (label == "chance", label.endswith("paper"), label.startswith("frozen"))
    )
    columns = 3 if sum(map(len, order)) <= LEGEND_LETTERS else 2
    with matplotlib.rc_context(_style()):
        figure.legend(
            [lines[label] for label in order],
            order,
            loc="outside upper left",
            ncols=columns,
            columnspacing=1.2,
            borderpad=0,
        )


def _svg(figure: "Figure", name: str) -> str:
    """The figure as an element of an HTML page: no namespaces, ids of its own, colours by role."""
    import matplotlib

    written = io.StringIO()
    with matplotlib.rc_context(_style(svg_hashsalt=name)):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(written.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            # matplotlib's own style would be the whole page's.
            if child.tag.endswith(("metadata", "style")):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {
            key.rpartition("}")[2]: _local(value, name) for key, value in element.attrib.items()
        }
        if "id" in element.attrib:
            element.attrib["id"] = f"{name}-{element.attrib['id']}"
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": str(WIDTH),
        "height": str(HEIGHT),
        "aria-hidden": "true",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _local(value: str, name: str) -> str:
    """An attribute with its references made the figure's own, and its colours and letters the page's."""
    value = re.sub(r"url\(#", f"url(#{name}-", value)
    value = re.sub(r"^#(?=[A-Za-z])", f"#{name}-", value)
    for colour, variable in ROLES.items():
        value = value.replace(colour, variable)
    return re.sub(r"font(-family)?:[^;]*sans[^;]*;?", lambda match: _size(match.group()), value)


def _size(style: str) -> str:
    """What remains of a font: its size."""
    size = re.search(r"[\d.]+px", style)
    return f"font-size: {size.group()};" if size else ""
