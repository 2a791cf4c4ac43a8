"""Asking a server for sub-actions, patiently and within bounds.

Per label: a question, its retries, and after a broken answer the question again with what was wrong.
The form of the answer (a schema, some JSON, plain text) is settled by the first label; the others wait
for it, so that a server is asked once for what it does not have.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from fsarctl.errors import FsarctlError
from fsarctl.errors.addresses import secrets_in
from fsarctl.progress import shortened
from fsarctl.text.corpus import STAGES, SubActions
from fsarctl.text.llm.answer_forms import FORMS, FormMemory, parameters, refused_parameter, refuses_form
from fsarctl.text.llm.answers import (
    Answer,
    BadAnswerError,
    NoAnswerError,
    answer_text,
    parse_answer,
    read_reply,
    usage_of,
)
from fsarctl.text.llm.connection import Connection, ConnectionLostError, Reply
from fsarctl.text.llm.costs import Tally
from fsarctl.text.llm.environment import proxy_of
from fsarctl.text.llm.failures import Failures
from fsarctl.text.llm.rate_limit import ClosedError, Gate, sleep
from fsarctl.text.llm.redaction import Redaction
from fsarctl.text.llm.refusals import RefusedError, refusal_in
from fsarctl.text.llm.retries import Patience, pause
from fsarctl.text.llm.server import Server
from fsarctl.text.llm.waits import until_renewed

__all__ = ["ask"]

GIVE_UP_AFTER = 10
"""Labels in a row that the server, not the model, failed on; the rest are then not asked."""

NONE_OF_FIRST = 3
"""Labels that fail, for whatever reason, before any is described; then the run ends."""

FIRST_CONTACT = 2
"""Retries of a server that has never answered: more likely it is not there than it is busy. And of a
rate limit that stays, though the server said when it would be over."""

BROKEN_IN_FORM = 2
"""Broken answers in a form in which none was good so far, before the next form is tried."""

CHANGED_AFTER = 2
"""Labels in a row that need a lesser form than the settled one, before that one is given up."""

_LONGEST_REPEATED = 2000

Message = dict[str, str]


async def ask(
    server: Server,
    prompts: Mapping[str, str],
    *,
    on_answer: Callable[[str, Answer], None],
    on_failure: Callable[[str, str], None],
    problem: Callable[[str, SubActions], str],
    concurrency: int,
    patience: Patience,
    memory: FormMemory,
    tally: Tally,
    gate: Gate,
    on_limit: Callable[[RefusedError], None] = lambda refusal: None,
    on_note: Callable[[str], None] = lambda remark: None,
) -> None:
    """Ask for the sub-actions of each label in ``prompts`` (label to prompt), several at a time.

    Each label ends in one call of ``on_answer(label, answer)``, as it arrives, or of
    ``on_failure(label, reason)``. ``problem(label, sub_actions)`` says why three good sentences are
    refused all the same, or nothing; the model is told and asked again. ``tally`` counts the tokens.
    ``on_limit(refusal)`` hears that a rate limit closed the ``gate``, and ``on_note(remark)`` what a user
    should know.

    Raises:
        ConfigError: no label can succeed: the key, the model or the address is refused, or none of the
            first labels was described. Answers that were under way are still handed over.
        FsarctlError: what ``on_answer`` raised, likewise.
    """
    proxy = proxy_of(server.base)
    failures = Failures(
        server.address,
        server.model,
        bool(server.key()),
        server.has_login,
        Redaction((*server.secrets(), *(secrets_in(proxy.url) if proxy else ()))),
        patience.deadline,
        proxy,
    )
    async with Connection(server, patience.timeout, proxy) as connection:
        asking = _Asking(
            connection=connection,
            server=server,
            failures=failures,
            patience=patience,
            queue=iter(prompts.items()),
            on_answer=on_answer,
            on_failure=on_failure,
            problem=problem,
            memory=memory,
            tally=tally,
            gate=gate,
            on_limit=on_limit,
            on_note=on_note,
        )
        await asking.work(concurrency)
    if asking.refusal:
        raise asking.refusal


@dataclass(kw_only=True)
class _Asking:
    """What the concurrent workers share."""

    connection: Connection
    server: Server
    failures: Failures
    patience: Patience
    queue: Iterator[tuple[str, str]]
    on_answer: Callable[[str, Answer], None]
    on_failure: Callable[[str, str], None]
    problem: Callable[[str, SubActions], str]
    memory: FormMemory
    tally: Tally
    gate: Gate
    on_limit: Callable[[RefusedError], None]
    on_note: Callable[[str], None]
    without: set[str] = field(default_factory=set)
    """Parameters that the server does not take."""
    form: str = next(iter(FORMS))
    """In which a label begins."""
    proven: bool = False
    """An answer was good in this form."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Nobody need wait for the first label any more."""
    lesser_in_a_row: int = 0
    reached: bool = False
    described: bool = False
    """A label was, now or the last time."""
    failures_in_a_row: int = 0
    refusal: FsarctlError | None = None

    async def work(self, workers: int) -> None:
        if known := self.memory.recall():
            (self.form, without), self.described = known, True
            self.without |= without
            self.settled.set()
        await asyncio.gather(*(self._work(first=worker == 0) for worker in range(workers)))

    async def _work(self, *, first: bool) -> None:
        if not first:
            await self.settled.wait()
        for label, prompt in self.queue:
            if self.refusal:
                break
            if why := self._hopeless():
                self.on_failure(label, f"not asked: {why}")
                continue
            await self._describe(label, prompt)
            self.settled.set()
        self.settled.set()

    def _hopeless(self) -> str:
        """Why no further label is asked, if so."""
        if self.failures_in_a_row >= GIVE_UP_AFTER:
            return f"the server failed {GIVE_UP_AFTER} labels in a row"
        return self.gate.closed()

    @property
    def _limit_stays(self) -> bool:
        """Whether request after request is refused for a rate limit, though each waited as it should."""
        first = self.gate.said_when and not self.described
        most = min(FIRST_CONTACT, self.patience.retries) if first else self.patience.retries
        return not self.patience.until_done and self.gate.in_vain >= max(1, most)

    async def _describe(self, label: str, prompt: str) -> None:
        try:
            async with asyncio.timeout(None if self.patience.until_done else self.patience.deadline):
                answer = await self._answer(label, prompt)
        except (BadAnswerError, RefusedError, ConnectionLostError, ClosedError, TimeoutError) as error:
            self.refusal = self.refusal or self.failures.stops_the_run(error, reached=self.reached)
            if not self.refusal:
                self._fail(label, error)
            return
        self.described, self.failures_in_a_row = True, 0
        try:
            self.on_answer(label, answer)
        except FsarctlError as error:
            self.refusal = error

    def _fail(self, label: str, error: Exception) -> None:
        """One label got no description; what met all of the first few is expected to meet the others too."""
        of_model = isinstance(error, BadAnswerError) and not isinstance(error, NoAnswerError)
        self.failures_in_a_row = 0 if of_model and self.described else self.failures_in_a_row + 1
        self.on_failure(label, self.failures.reason(error))
        in_vain = self.failures_in_a_row >= NONE_OF_FIRST or self.gate.shut
        if in_vain and not self.described and self.patience.waits(self.gate.left):
            self.refusal = self.failures.meets_every_label(error, self.failures_in_a_row)

    async def _answer(self, label: str, prompt: str) -> Answer:
        question: Message = {"role": "user", "content": prompt}
        messages, form = [question], self.form
        own = Tally()
        wrong, broken = BadAnswerError(""), 0
        for _ in range(self.patience.attempts):
            text = ""
            try:
                form, reply = await self._reply(messages, form)
                completion = read_reply(reply.content)
                usage = usage_of(completion)
                own.add(usage)
                self.tally.add(usage)
                text = self.failures.redaction.answer(answer_text(completion))
                # once more: JSON has spellings of the key that only reading it undoes
                first, then, last = map(self.failures.redaction.answer, parse_answer(text))
                sub_actions = (first, then, last)
                self._learn(form)
                if problem := self.problem(label, sub_actions):
                    raise BadAnswerError(problem)
                answered_by = self.failures.redaction.text(str(completion.get("model") or self.server.model))
                return Answer(sub_actions, own.usage, answered_by, self.server.address, form)
            except BadAnswerError as error:
                wrong = error
                messages = [question, *_complaint(text, str(wrong))]
                broken += 1
                if not self.proven and broken == BROKEN_IN_FORM:
                    # perhaps the server takes the form and pays no attention to it
                    form, broken = _lesser(form) or form, 0
        if not self.proven:
            self.form = form
        raise type(wrong)(f"{wrong} (asked {self.patience.attempts} times)")

    async def _reply(self, messages: Sequence[Message], form: str) -> tuple[str, Reply]:
        """A reply after the retries that it takes, in this form or in the next that the server has."""
        retry, in_turn = 0, False
        while True:
            failure: ConnectionLostError | RefusedError | None
            body = self._body(messages, form)
            try:
                async with self.gate.passing() as in_turn:
                    reply = await self.connection.post(body)
                self.reached = True
                failure = refusal_in(reply, self.failures.redaction)
                if failure is None:
                    self._got_through(reply)
                    return form, reply
                if self._leaves_out(failure, body):
                    continue
                lesser = _lesser(form)
                if lesser and self._refuses_form(failure, exhausted=retry >= self.patience.retries):
                    form = lesser
                    continue
            except ConnectionLostError as error:
                failure = error
            self.settled.set()
            await self._pause(failure, retry, in_turn=in_turn)
            retry += 1

    def _got_through(self, reply: Reply) -> None:
        self.gate.answer()
        wait = until_renewed(reply.headers)
        if wait and wait <= self.patience.longest_wait:
            self.gate.close(wait)  # the next request would be refused

    async def _pause(self, failure: ConnectionLostError | RefusedError, retry: int, *, in_turn: bool) -> None:
        """Wait before the same is asked once more; raises the failure where that is in vain."""
        retries = self.patience.retries if self.reached else min(FIRST_CONTACT, self.patience.retries)
        wait = failure.wait if isinstance(failure, RefusedError) else None
        passing = isinstance(failure, ConnectionLostError) or failure.passing
        if not passing or self.failures.stops_the_run(failure, reached=True) is not None:
            raise failure
        if isinstance(failure, RefusedError) and failure.limited:
            self.gate.refuse(wait, random.random(), in_turn=in_turn)
            self.on_limit(failure)
            if self._limit_stays:
                self.gate.shut = "the server's rate limit stays"
            if self.patience.until_done:
                return
        if retry >= retries or self.gate.shut or not self.patience.waits(max(wait or 0, self.gate.left)):
            raise failure
        if not (isinstance(failure, RefusedError) and failure.limited):
            await sleep(pause(retry, wait, random.random()))

    def _body(self, messages: Sequence[Message], form: str) -> dict[str, object]:
        taken = parameters(self.server.temperature, self.server.max_tokens, self.without)
        return {"model": self.server.model, "messages": messages, **taken, **FORMS[form]}

    def _leaves_out(self, failure: RefusedError, body: Mapping[str, object]) -> bool:
        """Whether the same is to be asked without a parameter that the server does not take."""
        if failure.passing or failure.status >= 500:
            return False
        name = refused_parameter(body, failure.param, failure.code, failure.said)
        if name and name not in self.without:
            self.without.add(name)
            self.on_note(f"{self.server.model!r} on {self.server.address} takes no {name}: it is not sent")
        return name is not None

    def _refuses_form(self, failure: RefusedError, *, exhausted: bool) -> bool:
        if failure.status == 400 and self.failures.stops_the_run(failure, reached=True):
            return False
        # some servers fall over a form that they do not have, every time
        fell = failure.status == 500 and exhausted and not self.proven
        return fell or refuses_form(failure.status, failure.said)

    def _learn(self, form: str) -> None:
        """An answer was good in this form."""
        self.lesser_in_a_row = 0 if form == self.form else self.lesser_in_a_row + 1
        if form != self.form and self.proven and self.lesser_in_a_row < CHANGED_AFTER:
            return  # one odd label
        self.form, self.proven = form, True
        with suppress(OSError):  # it is only a memory; that answers cannot be kept is said where they are
            self.memory.remember(form, self.without)


def _lesser(form: str) -> str | None:
    forms = list(FORMS)
    following = forms[forms.index(form) + 1 :]
    return following[0] if following else None


def _complaint(text: str, wrong: str) -> list[Message]:
    """What is said to a model after a broken answer; nothing after none at all."""
    if not text.strip():
        return []
    keys = " and ".join(f'"{stage}"' for stage in STAGES)
    again = (
        f"That cannot be used: {wrong}. Answer with one JSON object with the keys {keys} and nothing else."
    )
    return [
        {"role": "assistant", "content": shortened(text, _LONGEST_REPEATED)},
        {"role": "user", "content": again},
    ]
