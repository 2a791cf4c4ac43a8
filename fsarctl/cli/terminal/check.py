"""`fsarctl predict --check`: how a support set's clips are named from each other, for people and programs."""

from typing import TYPE_CHECKING, Any

from fsarctl.cli.terminal.console import echo, say
from fsarctl.errors.shown import brief
from fsarctl.progress import counted, first_of, further

if TYPE_CHECKING:
    from fsarctl.predict.leave_one_out import Check

__all__ = ["check_document", "print_check"]

SHOWN = 5


def check_document(check: "Check") -> dict[str, Any]:
    """What JSON says of it; accuracies 0 to 1."""
    return {
        "accuracy": check.accuracy,
        "low": check.low,
        "high": check.high,
        "chance": check.chance,
        "possible": check.possible,
        "independent": check.independent,
        "unit": _unit(check),
        "clips": [
            {"clip": each.clip, "class": each.label, "answer": each.answer, "margin": each.margin}
            | ({"group": each.group} if each.group else {})
            for each in check.held
        ],
        "mixed_up": [
            {"class": each.label, "answer": each.answer, "count": each.count, "of": each.of}
            for each in check.mixed_up
        ],
        "odd": [each.clip for each in check.odd],
        "alone": list(check.alone),
    }


def print_check(check: "Check | None", *, as_data: bool) -> None:
    """Say it: on stdout where that is for people (``as_data``), else beside it; and what it does not tell."""
    if check is None:
        say("warning: no class has two clips, so nothing can be checked: add one to each class")
        return
    tell = echo if as_data else say
    right = sum(each.right for each in check.held)
    units = counted(check.independent, _unit(check))
    some = f" (of {check.possible:,}, spread evenly)" if check.is_sample else ""
    held = f"without the clips of its {_unit(check)}" if check.by_group else "with that clip left out"
    tell(
        f"check: {right} of {len(check.held)} clips{some} right, each named {held}:"
        f" {100 * check.accuracy:.1f} % [{100 * check.low:.1f}, {100 * check.high:.1f}]"
        f" (95 % interval over {units}; a guess: {100 * check.chance:.1f} %)"
    )
    for each in check.mixed_up[:SHOWN]:
        tell(
            f"  {brief(each.label)} is taken for {brief(each.answer)}: {each.count} of"
            f" {counted(each.of, 'clip')}"
        )
    if others := further(check.mixed_up, SHOWN, "pair"):
        tell(f"  and {others} (--json has all)")
    for odd in check.odd[:SHOWN]:
        tell(
            f"  the odd one out: {brief(odd.clip)} is taken for {brief(odd.answer)}, most others of its class"
            " are right"
        )
    if check.tells_nothing:
        say(
            f"warning: as far as {units} can tell, these are guesses. More clips may tell more; descriptions"
            " (fsarctl describe --edit LABEL) or another backbone may make them better"
        )
    if check.alone:
        say(
            f"warning: {first_of([brief(each) for each in check.alone], SHOWN)}: one {_unit(check)} alone,"
            " which cannot be checked"
        )


def _unit(check: "Check") -> str:
    return "group" if check.by_group else "clip"
