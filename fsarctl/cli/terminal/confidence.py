"""What a prediction's confidences are, and what tells that a clip shows none of the classes."""

from typing import TYPE_CHECKING, Any

from fsarctl.progress import counted

if TYPE_CHECKING:
    from fsarctl.predict.predictor import Predictor
    from fsarctl.predict.support_set import Support

__all__ = ["confidence_document", "confidence_words"]


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


def confidence_words(predictor: "Predictor", support: "Support") -> list[str]:
    """A line on the classes' confidences, and one on "none of these" where that is an answer."""
    calibration, known = predictor.calibration(support), predictor.known(support)
    scale = f"{predictor.logit_scale:g} x score"
    softmax = f"softmax of {scale} over the classes"
    words = f"softmax, not calibrated, of {scale} over the classes"
    if calibration is not None:
        words = f"{softmax} / {calibration.temperature:.2g}, calibrated on validation episodes"
    if known is None:
        return [f"confidence: {words}"]
    held = f"{counted(known.held, 'clip')} left out in turn"
    if known.told_by == "validation":
        held = f"{counted(known.held, 'validation quer', 'ies')} with and without their class"
    nearer = ""
    if support.negatives is not None:
        held += f" and {counted(known.negatives, 'negative')}" if known.negatives else ""
        nearer = ", or a negative is nearer"
    below = f"where the best {scale} is below {known.sigmoid.middle:.3g}"
    return [
        f"confidence: {words}, times how likely it is any of them",
        f"none of these: {below}, as told by {held}{nearer}",
    ]
