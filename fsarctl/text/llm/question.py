"""What a language model is asked: a template with the label in it, and how long that is."""

from importlib import resources
from pathlib import Path

from fsarctl.errors import ConfigError

__all__ = ["COMPLETION_TOKENS", "prompt_of", "read_template", "tokens_about"]

COMPLETION_TOKENS = 60
"""About what three short sentences in JSON take; a model that thinks aloud takes many times that."""

_CHARACTERS_PER_TOKEN = 4
"""Of English text in the vocabularies of today's models."""


def read_template(path: Path | None = None) -> str:
    """A prompt template, the shipped one (prompts/sub_actions.txt) if there is no path.

    What an editor leaves before and after it (line ends, a byte order mark) is no part of it.

    Raises:
        ConfigError: it cannot be read, or has no {label}.
    """
    if path is None:
        return (resources.files("fsarctl.prompts") / "sub_actions.txt").read_text("utf-8").strip()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"describe.template names {path}, which cannot be read: {reason}",
            next_step="Correct describe.template, or leave it empty for the shipped one.",
        ) from None
    if "{label}" not in text:
        raise ConfigError(
            f"the prompt template {path} has no {{label}}",
            next_step="Write {label} where the action label shall stand.",
        )
    return text.replace("\r\n", "\n").strip()


def prompt_of(template: str, label: str) -> str:
    """The question about one label."""
    return template.replace("{label}", label)


def tokens_about(text: str) -> int:
    """Roughly how many tokens a language model makes of an English text."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)
