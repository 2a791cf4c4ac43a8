"""Asking a language model for sub-actions, and keeping every answer that was paid for.

Without the pipeline, in a notebook too::

    server = Server("http://localhost:8000/v1", "my-model")
    records = Records(Path("answers"), server.model, server.temperature)
    prompts = {label: prompt_of(read_template(), label) for label in ("long jump", "juggling")}
    describe(prompts, server, records).sub_actions
"""

from fsarctl.text.caption_limit import CaptionLimit
from fsarctl.text.llm.costs import Prices
from fsarctl.text.llm.language_model import Described, describe
from fsarctl.text.llm.question import prompt_of, read_template
from fsarctl.text.llm.records import Records
from fsarctl.text.llm.retries import Patience
from fsarctl.text.llm.server import Server

__all__ = [
    "CaptionLimit",
    "Described",
    "Patience",
    "Prices",
    "Records",
    "Server",
    "describe",
    "prompt_of",
    "read_template",
]
