"""CLIP-SPM: as CLIP-MEI, with gates on frames and tokens, and sixteen templates of text."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.methods.clip_mei.interaction import GatedInteraction
from fsarctl.methods.clip_mei.method import CLIPMEI, InteractionOptions, InteractionScores, told_apart
from fsarctl.methods.frame_method import FrameOptions
from fsarctl.methods.protocol import Lesson

__all__ = ["CLIPSPM", "Options", "TEMPLATES"]

VERSION = 1
TEMPLATES = (
    "a photo of action {}",
    "a picture of action {}",
    "Human action of {}",
    "{}, an action",
    "{} this is an action",
    "{}, a video of action",
    "Playing action of {}",
    "{}",
    "Playing a kind of action, {}",
    "Doing a kind of action, {}",
    "Look, the human is {}",
    "Can you recognize the action of {}?",
    "Video classification of {}",
    "A video of {}",
    "The man is {}",
    "The woman is {}",
)
"""Whose mean embedding a class's text is."""


@dataclass(frozen=True)
class Options(InteractionOptions):
    """What there is to choose."""

    vision_gate: float = setting(0.5, "width within the gate of frames, of the features'")
    text_gate: float = setting(1.5, "width within the gate of tokens")
    slope: float = setting(0.0025, "of the gates' leaky ReLU, below 0")
    added: float = setting(0.2, "alpha: how much of the weighed token is added to each frame")
    formulation: Literal["released", "paper"] = setting(
        "released", "the loss of motion alone, as the released code has it, or the paper's others too"
    )
    query_consistency: float = setting(0.54, "paper: share of the queries in the consistency loss")
    query_text: float = setting(0.07, "paper: share of the queries in the text loss, of 0.5")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_bounds(self, "vision_gate", "text_gate", above=0)
        require_bounds(self, "query_consistency", least=0, most=1)
        require_bounds(self, "query_text", least=0, most=0.5)


class CLIPSPM(CLIPMEI):
    """CLIP-SPM (arXiv 2512.19036).

    Transductive like CLIP-MEI. The released code tells queries by the mean text of the true classes of all
    clips of the episode, the queries' too; here it is the mean text of the classes, always.
    """

    Options: ClassVar[type[FrameOptions]] = Options
    sub_actions = TEMPLATES

    def interacting(self) -> GatedInteraction:
        """CLIP-MEI's modules with gates."""
        options, width = self.options, self.encoder.embed_dim
        return GatedInteraction(
            width,
            max(1, int(options.vision_gate * width)),
            max(1, int(options.text_gate * width)),
            slope=options.slope,
            added=options.added,
            heads=options.heads,
            head_width=options.head_width,
            hidden=options.hidden,
            smoothing=options.smoothing,
        )

    def extra_loss(self, lesson: Lesson) -> Tensor:
        """alpha L_mo, and with formulation "paper" the losses that the released code throws away."""
        loss: Tensor = self.interaction.motion_weight * self.motion_loss(lesson)
        return loss + self._of_paper(lesson) if self.options.formulation == "paper" else loss

    def _of_paper(self, lesson: Lesson) -> Tensor:
        """Consistency and text losses of queries and of supports that are told as if they were queries."""
        scores, options = lesson.scores, self.options
        assert isinstance(scores, InteractionScores)
        assert scores.text_features is not None
        assert lesson.support is not None
        texts = scores.text_features.squeeze(-2)
        consistency, text = self.semantic_losses(lesson)
        shots = len(lesson.support) // len(texts)
        token = self.interaction.own_token(lesson.support, texts.mean(dim=0))
        frames, told = self.interaction.told(lesson.support, token)
        of_support = told_apart(
            self.interaction, lesson.support, texts.repeat_interleave(shots, 0), frames, token, told
        )
        # A text loss is half of its two distances.
        loss: Tensor = (
            2 * options.query_text * text
            + 2 * (0.5 - options.query_text) * of_support[1]
            + options.query_consistency * consistency
            + (1 - options.query_consistency) * of_support[0]
        )
        return loss
