"""Whether a class's prompts fit into what the text encoder reads; nothing is ever cut."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fsarctl.models.token_counts import context_length, count_tokens
from fsarctl.text.corpus import STAGES, PromptUse, SubActions, alone_text, prompts_of

__all__ = ["CaptionLimit"]


@dataclass(frozen=True)
class CaptionLimit:
    """What a text encoder reads of a class: ``use`` is what its prompts are made of.

    ``names``: label -> what they call it, where that is not the label.
    """

    backbone: str
    use: PromptUse = "stages"
    names: Mapping[str, str] = field(default_factory=dict)

    def problem(self, label: str, sub_actions: SubActions) -> str:
        """In what way a label's prompts are too long; empty if they fit, or cannot be counted here."""
        limit = context_length(self.backbone)
        prompts = prompts_of(self.use, label, sub_actions, self.names.get(label, ""))
        for number, prompt in enumerate(prompts):
            tokens = count_tokens(self.backbone, prompt)
            if tokens is not None and tokens > limit:
                if sub_actions == alone_text(label):
                    called = "its name" if label in self.names else "the label"
                    return f"{called} alone makes {tokens} tokens, and {self.backbone} reads {limit}"
                what = f"the {STAGES[number]}" if len(prompts) == len(STAGES) else "the prompt"
                return f"{what} makes {tokens} tokens with its label, and {self.backbone} reads {limit}"
        return ""

    def fits(self, label: str) -> bool:
        """Whether a label can be read at all, before anything is said of it."""
        return not self.problem(label, alone_text(label))
