"""A method that somebody else wrote."""

from collections.abc import Callable, Mapping
from functools import wraps
from types import FunctionType
from typing import Any

from torch import Tensor

from fsarctl.config.plugins import Part
from fsarctl.errors import ConfigError
from fsarctl.methods.protocol import FewShotMethod, Scores

__all__ = ["checked_method"]

GIVES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("prefix", "alone", "support_features", "query_features"), Tensor),
    **dict.fromkeys(("loss", "training_loss"), Tensor),
    **dict.fromkeys(("text_features", "stage_cosines"), (Tensor, type(None))),
    **dict.fromkeys(("score_features", "forward"), Scores),
    "look": tuple,
}
"""What the functions of :class:`FewShotMethod` give that somebody else may define."""


def checked_method(part: Part, make: Callable[[], FewShotMethod]) -> FewShotMethod:
    """What ``make`` makes of ``part``: its faults are told as its own, and its answers are looked at.

    Raises:
        InputError: it cannot be made.
    """
    with part.running():
        method = make()
        for name, each in vars(FewShotMethod).items():
            if isinstance(each, property):
                getattr(method, name)
            elif isinstance(each, FunctionType) and not name.startswith("_"):
                setattr(method, name, _checked(part, name, getattr(method, name), method))
    return method


def _checked(part: Part, name: str, own: Callable[..., Any], method: FewShotMethod) -> Callable[..., Any]:
    @wraps(own)
    def call(*given: Any, **named: Any) -> Any:
        with part.running():
            gave: Any = own(*given, **named)
        kind: Any = GIVES.get(name, object)
        if name == "text_features" and method.reads_text:
            kind = Tensor
        if not isinstance(gave, kind):
            wanted = "fsarctl.methods.Scores" if kind is Scores else "a Tensor"
            raise ConfigError(
                f"{part.called}: {name} gave a {type(gave).__name__}, not {wanted}",
                next_step="fsarctl.methods.FewShotMethod says what each function has to give.",
            )
        if name == "prefix":
            _require_shape(part, name, gave, (*given[0].shape[:-4], ...), "one for each clip")
        elif name == "alone":
            _require_shape(part, name, gave, (*given[0].shape[:1], ...), "one for each clip")
        elif name in ("loss", "training_loss"):
            _require_shape(part, name, gave, (), "one number")
        elif name == "score_features" and named.get("way") is not None:
            # A query's features are (..., queries, whatever they are).
            queries = given[1].shape[: max(1, gave.score.dim() - 1)]
            _require_shape(
                part, name, gave.score, (*queries, named["way"]), "a score for each query and class"
            )
        return gave

    return call


def _require_shape(part: Part, name: str, gave: Tensor, wanted: tuple[Any, ...], what: str) -> None:
    fixed = tuple(each for each in wanted if each is not ...)
    shape = tuple(gave.shape)
    if (shape[: len(fixed)] if ... in wanted else shape) != fixed:
        text = ", ".join("..." if each is ... else str(each) for each in wanted)
        raise ConfigError(
            f"{part.called}: {name} gave {shape}, not ({text}), {what}",
            next_step="fsarctl.methods.FewShotMethod says which shapes each function reads and gives.",
        )
