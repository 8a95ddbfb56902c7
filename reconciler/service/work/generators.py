"""Turns a target's generators into stimuli, one after the other, in an order that never changes.

What is known beforehand (hardcoded questions, datasets) is settled before a model is asked for
anything, so that a mistake there costs nothing. Never stores what it makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Any

from reconciler.service.work.model import ModelError, QuestionsRequest, question_key

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

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
    generators: Sequence[Mapping[str, Any]], dataset: Callable[[str], Iterable[str]]
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

    A model's questions repeat neither each other nor what other generators are known to ask. Raises
    SourceError when a model has no new questions left or fails, and ClosedError.
    """
    _check_templates(found, context)
    fixed = (question for source in found for question in source.questions or ())
    known = {question_key(question): question for question in chain(fixed, done)}
    start = 0
    for source in found:
        have = len(done[start : start + source.count])
        start += source.count
        async for question in _rest(source, have, known, context, model):
            yield source, question


def _source(
    position: int, settings: Mapping[str, Any], dataset: Callable[[str], Iterable[str]]
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
    position: int, settings: Mapping[str, Any], dataset: Callable[[str], Iterable[str]]
) -> Iterable[str]:
    name = settings.get("dataset")
    if not name:
        raise SourceError(f"{_label(position, settings)} names no dataset")
    return dataset(name)


def _sampled(questions: Iterable[str], settings: Mapping[str, Any]) -> list[str]:
    """Return ``numq`` of the questions in their order, chosen by ``seed``; all without ``numq``.

    The choice is the same on every machine, and a larger ``numq`` only adds to it.
    """
    numq = settings.get("numq")
    if numq is None:
        return list(questions)
    seed = settings.get("seed") or 0
    chosen = nsmallest(numq, enumerate(questions), key=lambda each: _rank(seed, each[0]))
    return [question for _, question in sorted(chosen)]


def _rank(seed: int, index: int) -> bytes:
    return blake2b(f"{seed}/{index}".encode(), digest_size=8).digest()


def _label(position: int, settings: Mapping[str, Any]) -> str:
    return f"generators[{position}] ({settings['type']})"


def _check_templates(found: Sequence[Source], context: Context) -> None:
    for source in found:
        if source.settings["type"] == "custom" and not context.template_of(source.settings):
            raise SourceError(f"{source.label} has no template: give it template_content")


async def _rest(
    source: Source, have: int, known: dict[str, str], context: Context, model: Model
) -> AsyncGenerator[str]:
    if source.questions is None:
        async for question in _written(source, have, known, context, model):
            yield question
        return
    for question in source.questions[have:]:
        yield question


async def _written(
    source: Source, have: int, known: dict[str, str], context: Context, model: Model
) -> AsyncGenerator[str]:
    """Ask until there are enough questions, or several answers in a row held nothing new."""
    asked = fruitless = 0
    while have < source.count:
        written = await _asked(source, source.count - have, known, asked, context, model)
        new = _new(written, known)[: source.count - have]
        asked, fruitless = asked + 1, 0 if new else fruitless + 1
        if fruitless == _FRUITLESS_CALLS:
            found = "nothing new" if written else "no list of questions"
            raise SourceError(
                f"{source.label} got {have} of {source.count} questions:"
                f" the last {fruitless} answers held {found}"
            )
        for question in new:
            known[question_key(question)] = question
            have += 1
            yield question


def _new(written: Sequence[str], known: Mapping[str, str]) -> list[str]:
    by_key: dict[str, str] = {}
    for question in written:
        by_key.setdefault(question_key(question), question)
    return [question for key, question in by_key.items() if key not in known]


async def _asked(
    source: Source,
    wanted: int,
    known: dict[str, str],
    asked: int,
    context: Context,
    model: Model,
) -> Sequence[str]:
    settings = source.settings
    request = QuestionsRequest(
        kind=settings["type"],
        model=settings.get("model") or context.model_name,
        prompt=context.teacher,
        wanted=wanted,
        known=known,
        position=source.position,
        seed=settings.get("seed"),
        asked=asked,
        template=context.template_of(settings),
        temperature=settings.get("temperature"),
        max_tokens=settings.get("max_tokens"),
    )
    try:
        return await model.questions(request)
    except ModelError as error:
        have = source.count - wanted
        raise SourceError(
            f"{source.label} got {have} of {source.count} questions: {error}"
        ) from error
