"""What a prediction's confidences are, and what tells that a clip shows none of the classes."""

from typing import TYPE_CHECKING, Any, NamedTuple

from fsarctl.progress import counted

if TYPE_CHECKING:
    from fsarctl.predict.predictor import Predictor
    from fsarctl.predict.support_set import Support

__all__ = ["ConfidenceWords", "confidence_document", "confidence_words"]


class ConfidenceWords(NamedTuple):
    """What the classes' confidences are; and a line on "none of these", where that is an answer."""

    confidence: str
    of_none: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """As they stand under a table."""
        return (f"confidence: {self.confidence}", *self.of_none)


def confidence_document(predictor: "Predictor", support: "Support") -> dict[str, Any]:
    """As JSON has it."""
    calibration, known = predictor.calibration(support), predictor.known(support)
    return {
        "logit_scale": predictor.logit_scale,
        "temperature": calibration.temperature if calibration else None,
        "none": known
        and {
            "from": known.told_by,
            "clips": known.held,
            "negatives": known.negatives,
            "middle": known.sigmoid.middle,
            "slope": known.sigmoid.slope,
        },
    }


def confidence_words(predictor: "Predictor", support: "Support") -> ConfidenceWords:
    """How confidences come about, in words."""
    calibration, known = predictor.calibration(support), predictor.known(support)
    scale = f"{predictor.logit_scale:g} x score"
    softmax = f"softmax of {scale} over the classes"
    words = f"softmax, not calibrated, of {scale} over the classes"
    if calibration is not None:
        words = f"{softmax} / {calibration.temperature:.2g}, calibrated on validation episodes"
    if known is None:
        return ConfidenceWords(words)
    held = f"{counted(known.held, 'clip')} left out in turn"
    if known.told_by == "validation":
        held = f"{counted(known.held, 'validation quer', 'ies')} with and without their class"
    nearer = ""
    if support.negatives is not None:
        held += f" and {counted(known.negatives, 'negative')}" if known.negatives else ""
        nearer = ", or a negative is nearer"
    below = f"where the best {scale} is below {known.sigmoid.middle:.3g}"
    of_none = f"none of these: {below}, as told by {held}{nearer}"
    return ConfidenceWords(f"{words}, times how likely it is any of them", (of_none,))
