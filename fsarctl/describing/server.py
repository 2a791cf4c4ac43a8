"""Asking an OpenAI-compatible server for sub-actions, patiently and within bounds.

The ``openai`` client waits and retries after 408, 409, 429 and 5xx, time-outs and broken connections
(honouring Retry-After); this module adds the retries after broken answers, finds out which form of
structured output the server has, and tells a label's failure from one that would meet every label.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fsarctl.data.corpus import STAGES, SubActions
from fsarctl.describing.answers import BadAnswerError, parse_answer
from fsarctl.describing.failures import KEY_VARIABLE, Failures
from fsarctl.errors import ConfigError, FsarctlError

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletion

__all__ = ["Answer", "Patience", "Server", "ask"]

FORMS: tuple[dict[str, Any], ...] = (
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "sub_actions",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {stage: {"type": "string"} for stage in STAGES},
                    "required": list(STAGES),
                    "additionalProperties": False,
                },
            },
        }
    },
    {"response_format": {"type": "json_object"}},
    {},
)
"""How an answer's form is asked for, best first: a schema, any JSON, plain text."""

GIVE_UP_AFTER = 10
"""Labels in a row that the server, not the model, failed on; the rest are then not asked."""


@dataclass(frozen=True)
class Patience:
    """How long and how often a server is asked. None of it changes an answer."""

    timeout: float = 120.0
    """Seconds without a byte from the server before a request counts as lost."""
    retries: int = 5
    """Requests repeated after a rate limit, a server's error, a time-out or a broken connection."""
    attempts: int = 3
    """Answers asked for before a label's broken answers make it fail."""
    deadline: float = 900.0
    """Seconds for one label, all waiting included."""


@dataclass(frozen=True)
class Server:
    """A model on a server. An empty ``base_url`` means what the openai client takes by default.

    Raises:
        ConfigError: ``base_url`` is not an http or https address.
    """

    base_url: str
    model: str
    temperature: float

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.base_url)
            good = not self.base_url or (parts.scheme in ("http", "https") and bool(parts.hostname))
            good = good and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            raise ConfigError(
                "describe.base_url is not an http or https address",
                next_step="Write it like http://localhost:8000/v1 in fsarctl.toml.",
            )


@dataclass(frozen=True)
class Answer:
    """Three sub-actions and where they come from."""

    sub_actions: SubActions
    usage: Mapping[str, int]
    """prompt_tokens and completion_tokens as the server counts them, broken answers included."""
    answered_by: str
    """The model's name as the server gives it, often more exact than the name asked for."""
    server: str
    """The server's address without user, password and query."""


async def ask(
    server: Server,
    prompts: Mapping[str, str],
    *,
    on_answer: Callable[[str, Answer], None],
    on_failure: Callable[[str, str], None],
    concurrency: int,
    patience: Patience,
) -> None:
    """Ask for the sub-actions of each label in ``prompts`` (label to prompt), several at a time.

    Each label ends in one call of ``on_answer(label, answer)``, as it arrives, or of
    ``on_failure(label, reason)``.

    Raises:
        ConfigError: no label can succeed: the key, the model or the address is refused. Answers
            that were under way are still handed over.
        FsarctlError: what ``on_answer`` raised, likewise.
    """
    import asyncio

    import openai

    key = _key(server)
    async with openai.AsyncOpenAI(
        api_key=key or "no-key",
        base_url=server.base_url or None,
        timeout=patience.timeout,
        max_retries=patience.retries,
    ) as client:
        address = _address(str(client.base_url))
        failures = Failures(address, server.model, key, patience.timeout, patience.deadline)
        asking = _Asking(client, server, failures, patience, iter(prompts.items()), on_answer, on_failure)
        await asyncio.gather(*(asking.work() for _ in range(concurrency)))
    if asking.refusal:
        raise asking.refusal


@dataclass
class _Asking:
    """What the concurrent workers share."""

    client: "openai.AsyncOpenAI"
    server: Server
    failures: Failures
    patience: Patience
    queue: Iterator[tuple[str, str]]
    on_answer: Callable[[str, Answer], None]
    on_failure: Callable[[str, str], None]
    form: int = 0
    reached: bool = False
    failures_in_a_row: int = 0
    refusal: FsarctlError | None = None

    async def work(self) -> None:
        for label, prompt in self.queue:
            if self.refusal:
                return
            if self.failures_in_a_row >= GIVE_UP_AFTER:
                self.on_failure(label, f"not asked: the server failed {GIVE_UP_AFTER} labels in a row")
                continue
            await self._describe(label, prompt)

    async def _describe(self, label: str, prompt: str) -> None:
        import asyncio

        import openai

        try:
            async with asyncio.timeout(self.patience.deadline):
                answer = await self._answer(prompt)
        except BadAnswerError as error:
            self.on_failure(label, self.failures.redacted(str(error)))
            return
        except (openai.APIError, TimeoutError) as error:
            self.refusal = self.refusal or self.failures.refusal(error, reached=self.reached)
            if not self.refusal:
                self.failures_in_a_row += 1
                self.on_failure(label, self.failures.reason(error))
            return
        try:
            self.on_answer(label, answer)
        except FsarctlError as error:
            self.refusal = error

    async def _answer(self, prompt: str) -> Answer:
        usage = {"prompt_tokens": 0, "completion_tokens": 0}
        problem = ""
        for _ in range(self.patience.attempts):
            try:
                completion = await self._complete(prompt)
                for count in usage:
                    tokens = getattr(completion.usage, count, 0)
                    usage[count] += tokens if isinstance(tokens, int) else 0
                return Answer(
                    parse_answer(self.failures.redacted(_text(completion))),
                    usage,
                    self.failures.redacted(str(completion.model or self.server.model)),
                    self.failures.address,
                )
            except BadAnswerError as error:
                problem = str(error)
        raise BadAnswerError(f"{problem} (asked {self.patience.attempts} times)")

    async def _complete(self, prompt: str) -> "ChatCompletion":
        """One reply, in the best form that the server accepts; what was found out is remembered."""
        import openai
        from openai.types.chat import ChatCompletion

        form = self.form
        while True:
            try:
                completion = await self.client.chat.completions.create(
                    model=self.server.model,
                    messages=[{"role": "user", "content": prompt}],
                    temperature=self.server.temperature,
                    **FORMS[form],
                )
                break
            except (openai.BadRequestError, openai.UnprocessableEntityError):
                if form + 1 == len(FORMS):
                    raise
                form += 1
            except (json.JSONDecodeError, UnicodeDecodeError):
                self._was_reached(form)
                raise BadAnswerError("the reply is not JSON") from None
        self._was_reached(form)
        if not isinstance(completion, ChatCompletion):
            raise BadAnswerError("the reply is not JSON")
        return completion

    def _was_reached(self, form: int) -> None:
        self.form = max(self.form, form)
        self.reached = True
        self.failures_in_a_row = 0


def _address(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def _key(server: Server) -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and not server.base_url and not os.environ.get("OPENAI_BASE_URL"):
        raise ConfigError(
            f"describe.source is openai, and the environment variable {KEY_VARIABLE} is not set",
            next_step=f"Set {KEY_VARIABLE}, or describe.base_url for a server that needs no key.",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        # the client would put the key into the text of its error
        raise ConfigError(
            f"the environment variable {KEY_VARIABLE} holds characters that no key has",
            next_step="Copy the key again, without quotes, spaces or line breaks.",
        )
    return key


def _text(completion: "ChatCompletion") -> str:
    try:
        choice = completion.choices[0]
        content, refusal, finish = choice.message.content, choice.message.refusal, choice.finish_reason
    except (AttributeError, IndexError, KeyError, TypeError):
        raise BadAnswerError("the reply holds no message") from None
    if refusal:
        raise BadAnswerError(f"the model refused: {' '.join(str(refusal).split())[:200]!r}")
    if finish == "content_filter":
        raise BadAnswerError("the server's content filter withheld the answer")
    if finish == "length":
        raise BadAnswerError("the answer was cut off")
    if content is not None and not isinstance(content, str):
        raise BadAnswerError("the reply's content is not text")
    return content or ""
