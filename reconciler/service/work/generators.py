"""Turns a target's generators into stimuli, one after the other, in an order that never changes.

What is known beforehand (hardcoded questions, datasets) is settled before a model is asked for
anything, so that a mistake there costs nothing. Never stores what it makes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.service.work.model import QuestionsRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from reconciler.service.work.model import Model, Prompt

DEFAULT_NUMQ = 10
"""How many questions a generator makes that asks a model and names no ``numq``."""

_FRUITLESS_CALLS = 3


class SourceError(Exception):
    """A generator cannot deliver; the sentence says which and why."""


@dataclass(frozen=True, slots=True)
class Source:
    """One generator and the ``count`` questions it contributes.

    ``questions`` are known beforehand; None when a model has to write them.
    """

    position: int
    settings: Mapping[str, Any]
    count: int
    questions: Sequence[str] | None = None

    @property
    def label(self) -> str:
        """What to call this generator in a sentence."""
        return _label(self.position, self.settings)

    @property
    def conditioned(self) -> bool:
        """Whether trajectories for these questions come from the student side."""
        return bool(self.settings.get("rollout_with_conditioned"))


@dataclass(frozen=True, slots=True)
class Context:
    """What generators draw on besides their own settings.

    ``templates`` holds, by path, the templates that other targets of the repository brought.
    """

    teacher: Prompt
    model_name: str
    templates: Mapping[str, str]

    def template_of(self, settings: Mapping[str, Any]) -> str | None:
        """Return the text of a generator's template, if it has one."""
        content: str | None = settings.get("template_content")
        return content or self.templates.get(settings.get("template_path", ""))


def sources(
    generators: Sequence[Mapping[str, Any]], dataset: Callable[[str], list[str]]
) -> list[Source]:
    """Return a source for each generator; raises SourceError, also when there is nothing to ask."""
    found = [_source(position, each, dataset) for position, each in enumerate(generators)]
    if not any(source.count for source in found):
        raise SourceError("The generators have no questions")
    return found


async def stimuli(
    found: Sequence[Source], context: Context, model: Model, done: Sequence[str]
) -> AsyncGenerator[tuple[Source, str]]:
    """Yield the questions that follow after those ``done``, each with its source.

    Raises SourceError when a model has no new questions left, and ModelError.
    """
    start = 0
    for source in found:
        have = done[start : start + source.count]
        start += source.count
        async for question in _rest(source, have, context, model):
            yield source, question


def _source(
    position: int, settings: Mapping[str, Any], dataset: Callable[[str], list[str]]
) -> Source:
    match settings["type"]:
        case "hardcoded":
            questions = list(settings.get("questions") or ())[: settings.get("numq")]
        case "from_dataset":
            questions = _sampled(_dataset(position, settings, dataset), settings)
        case _:
            return Source(position, settings, settings.get("numq") or DEFAULT_NUMQ)
    return Source(position, settings, len(questions), questions)


def _dataset(
    position: int, settings: Mapping[str, Any], dataset: Callable[[str], list[str]]
) -> list[str]:
    name = settings.get("dataset")
    if not name:
        raise SourceError(f"{_label(position, settings)} names no dataset")
    return dataset(name)


def _sampled(questions: list[str], settings: Mapping[str, Any]) -> list[str]:
    """Return ``numq`` of the questions in their order, chosen by ``seed``; all without ``numq``."""
    numq = settings.get("numq")
    if numq is None or numq >= len(questions):
        return questions
    chosen = random.Random(settings.get("seed") or 0).sample(range(len(questions)), numq)  # noqa: S311
    return [questions[index] for index in sorted(chosen)]


def _label(position: int, settings: Mapping[str, Any]) -> str:
    return f"generators[{position}] ({settings['type']})"


async def _rest(
    source: Source, have: Sequence[str], context: Context, model: Model
) -> AsyncGenerator[str]:
    if source.questions is None:
        async for question in _written(source, have, context, model):
            yield question
        return
    for question in source.questions[len(have) :]:
        yield question


async def _written(
    source: Source, have: Sequence[str], context: Context, model: Model
) -> AsyncGenerator[str]:
    known = dict.fromkeys(have)
    fruitless = 0
    while len(known) < source.count:
        written = await model.questions(_request(source, list(known), context))
        new = [question for question in dict.fromkeys(written) if question not in known]
        fruitless = 0 if new else fruitless + 1
        if fruitless == _FRUITLESS_CALLS:
            raise SourceError(f"{source.label} has no new questions after {len(known)}")
        for question in new[: source.count - len(known)]:
            known[question] = None
            yield question


def _request(source: Source, known: Sequence[str], context: Context) -> QuestionsRequest:
    settings = source.settings
    return QuestionsRequest(
        kind=settings["type"],
        model=settings.get("model") or context.model_name,
        prompt=context.teacher,
        wanted=source.count - len(known),
        known=known,
        seed=f"{source.position}/{settings.get('seed')}",
        template=context.template_of(settings),
        temperature=settings.get("temperature", 1.0),
        max_tokens=settings.get("max_tokens"),
    )
