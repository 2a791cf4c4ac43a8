"""An additional loss over the base classes: which of them is each clip of an episode?"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config.training_tables import TrainConfig
from fsarctl.errors import ConfigError, InputError
from fsarctl.methods.protocol import BaseClasses, FewShotMethod, Lesson

__all__ = ["BaseLoss"]

HEAD = "base_classes"


class BaseLoss:
    """Cross-entropy of a linear classifier, of the base classes' texts, or of both, on each clip.

    A clip is the mean of its features over frames, as the method compares them. Against texts it is the
    cosine with the mean of a class's text features, times ``logit_scale``.

    Args:
        model: gets the classifier among its heads.
        base: the classes.
        config: the weights of both, ``base_head`` and ``base_text``.

    Raises:
        ConfigError: texts are asked for, and the method reads none.
    """

    def __init__(self, model: FewShotMethod, base: BaseClasses, config: TrainConfig) -> None:
        if config.base_text and not model.reads_text:
            raise ConfigError(
                "train.base_text compares clips with the texts of base classes, and this model reads no text",
                next_step="Set train.base_text = 0, or use train.base_head.",
            )
        self._model, self._base, self._config = model, base, config
        if config.base_head:
            model.add_head(HEAD, nn.Linear(model.feature_width, len(base)))

    def __call__(self, lesson: Lesson) -> Tensor:
        """The weighted loss of an episode, (). Means are over its clips, support and queries alike.

        Raises:
            InputError: the method gives no features of clips, or not as wide as it says.
        """
        scores = lesson.scores
        groups = [(scores.query_features, lesson.query_classes)]
        if scores.support_features is not None:
            groups.append((scores.support_features, lesson.support_classes))
        widths = sorted({each.shape[-1] for each, _ in groups if each is not None})
        if not widths or (self._config.base_head and widths != [self._model.feature_width]):
            raise InputError(
                f"train.base_head and base_text read features of clips, and {type(self._model).__name__}"
                f" gives {f'some {widths} wide' if widths else 'none'}",
                next_step="Let its Scores hold query_features of its feature_width, or set both to 0.",
            )
        clips = torch.cat([features.mean(dim=-2) for features, _ in groups if features is not None])
        classes = torch.cat([each for features, each in groups if features is not None])
        loss = clips.new_zeros(())
        if self._config.base_head:
            loss = loss + self._config.base_head * F.cross_entropy(self._model.heads[HEAD](clips), classes)
        if self._config.base_text:
            texts = self._model.text_features(self._base.tokens)
            assert texts is not None
            cosines = F.normalize(clips, dim=-1) @ F.normalize(texts.mean(dim=-2), dim=-1).mT
            loss = loss + self._config.base_text * F.cross_entropy(self._model.logit_scale * cosines, classes)
        return loss
