"""What the service asks of a language model: questions for a stim, answers for a rollout.

The seam between jobs and whatever answers; holds no model itself.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """Ask for up to ``wanted`` questions that are not among ``known``.

    ``kind`` is the generator's type, ``template`` the text of a custom generator's template, and
    ``seed`` chooses among equally good questions.
    """

    kind: str
    model: str
    prompt: Prompt
    wanted: int
    known: Sequence[str] = ()
    seed: str = ""
    template: str | None = None
    temperature: float = 1.0
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
    """An answer and how many tokens it has."""

    text: str
    tokens: int


class ModelError(Exception):
    """The model gave no answer; the sentence says why."""


class Model(Protocol):
    """Something that can write questions and answer them."""

    def name(self, model: str) -> str:
        """Return what to record as the model when ``model`` was asked for."""

    async def questions(self, request: QuestionsRequest) -> Sequence[str]:
        """Return new questions, at least one if it can; raises ModelError."""

    async def answer(self, request: AnswerRequest) -> Answer:
        """Return one answer; raises ModelError."""


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
