"""What the service asks of a language model: questions for a stim, answers for a rollout.

The seam between jobs and whatever answers; holds no model itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as a model sees it; ``text`` is the text of all its messages."""

    messages: tuple[Mapping[str, Any], ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class QuestionsRequest:
    """Ask for up to ``wanted`` questions that are not among ``known``, by their ``question_key``.

    ``kind`` is the generator's type, ``position`` its place in the target, ``template`` the text of
    its template. ``seed`` chooses among equally good questions; ``asked`` counts the requests
    before this one. What is None is left to the model.
    """

    kind: str
    model: str
    prompt: Prompt
    wanted: int
    known: dict[str, str] = field(default_factory=dict)
    position: int = 0
    seed: int | None = None
    asked: int = 0
    template: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """Ask for one answer; ``sample`` tells apart the answers to one question."""

    model: str
    prompt: Prompt
    question: str
    sample: int
    temperature: float
    max_tokens: int | None
    extra_kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and how many tokens it has, if that is known.

    ``details`` are further fields of the record, in place of those that it would have.
    """

    text: str
    tokens: int | None
    details: Mapping[str, Any] = field(default_factory=dict)


class ModelError(Exception):
    """The model gave no answer; the sentence says why."""


class ClosedError(Exception):
    """The model takes no more requests, because the service is about to stop."""


class Model(Protocol):
    """Something that can write questions and answer them."""

    async def is_available(self) -> bool:
        """Say whether it could answer now."""

    def name(self, model: str) -> str:
        """Return what to record as the model when ``model`` was asked for."""

    async def questions(self, request: QuestionsRequest) -> Sequence[str]:
        """Return new questions, at least one if it can; raises ModelError, ClosedError."""

    async def answer(self, request: AnswerRequest) -> Answer:
        """Return one answer; raises ModelError, ClosedError."""

    def close(self) -> None:
        """Give up, with ClosedError, what only waits; finish what is under way."""


class Gate:
    """A model that can be closed: it then takes no more requests, and finishes those under way."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._is_closed = False

    def close(self) -> None:
        """Raise ClosedError from now on when something is asked."""
        self._is_closed = True
        self._model.close()

    def name(self, model: str) -> str:
        """Return what to record as the model when ``model`` was asked for."""
        return self._model.name(model)

    async def is_available(self) -> bool:
        """Say whether the model could answer now."""
        return await self._model.is_available()

    async def questions(self, request: QuestionsRequest) -> Sequence[str]:
        """Ask the model for questions; raises ModelError, ClosedError."""
        self._check()
        return await self._model.questions(request)

    async def answer(self, request: AnswerRequest) -> Answer:
        """Ask the model for an answer; raises ModelError, ClosedError."""
        self._check()
        return await self._model.answer(request)

    def _check(self) -> None:
        if self._is_closed:
            raise ClosedError


def question_key(question: str) -> str:
    """Return what two questions share that differ in case, spacing or closing marks only."""
    return " ".join(question.casefold().split()).rstrip(" .?!…")


def prompt_of(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Prompt:
    """Return a prompt with the text of its messages."""
    text = "\n\n".join(filter(None, (_text(message.get("content")) for message in messages)))
    return Prompt(tuple(messages), tuple(tools), text)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))
