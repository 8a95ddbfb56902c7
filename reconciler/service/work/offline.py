"""The built-in model: readable sentences without a network, the same for the same request.

It understands nothing: it weaves words of the prompt and the question into ready-made sentences,
and its name says so. Good for trying things out, rehearsals and tests; never for training data.
"""

from __future__ import annotations

import asyncio
import math
import re
from functools import lru_cache
from hashlib import blake2b
from itertools import count, islice
from typing import TYPE_CHECKING

from reconciler.service.work.model import Answer, question_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.service.work.model import AnswerRequest, QuestionsRequest

MOST_AT_ONCE = 50
_TOPICS = 12
_KEYWORDS = 3
_WORD = re.compile(r"[^\W\d_][\w'’-]{3,}")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_COMMON = frozenset(
    """
    about above after again against also always answer because been before being between both can
    could does doing down during each from further have having here himself into itself just more
    most must myself never only other ours over please same shall should some such than that their
    them then there these they this those through under until very were what when where which while
    whom will with would your yours yourself
    """.split()  # noqa: SIM905 (a list of one word a line reads worse)
)
_SPARE_TOPICS = ("the task", "the first step", "the result", "the details", "the next decision")
_QUESTIONS = (
    "How would you explain {topic} to {person}?",
    "What should {person} know about {topic} before starting?",
    "Which mistake with {topic} does {person} make most often?",
    "Can you give {person} a short example that involves {topic}?",
    "Why does {topic} matter to {person}?",
    "What would you check first when {person} has trouble with {topic}?",
    "When would you advise {person} against relying on {topic}?",
    "How can {person} tell that {topic} is done well?",
    "What is a good first exercise on {topic} for {person}?",
    "How does {topic} change once {person} works on it every day?",
)
_PEOPLE = (
    "a newcomer",
    "a busy colleague",
    "an expert",
    "a sceptical reviewer",
    "a student",
    "a small team",
    "a customer",
    "a ten-year-old",
    "someone in a hurry",
    "someone who tried and failed",
)
_OPENINGS = (
    "Start with {a}, and keep {b} in sight.",
    "In short, it comes down to {a} and how it bears on {b}.",
    "It helps to look at {a} first and to leave {b} for later.",
    "Most of it follows from {a}; the rest is a matter of {b}.",
    "There are two sides to this: {a} and {b}.",
    "Begin with the simplest case of {a} and add {b} only when it is needed.",
    "The honest answer depends on {a}, so settle that before {b}.",
    "Think of {a} as the goal and of {b} as the means.",
)
_MIDDLES = (
    "Try it on a small example, and write down what surprises you about {c}.",
    "A quick check of {c} usually shows whether you are on the right track.",
    "If {c} looks odd, go back one step rather than forward.",
    "Change one thing at a time, so that you can tell what {c} reacts to.",
    "Ask someone else to read your notes on {c}.",
    "Most problems with {c} show up within the first few tries.",
)
_CLOSINGS = (
    "After that, the next step tends to be clear.",
    "If it still does not work, say what you saw and we go on from there.",
    "Stop as soon as the result is good enough.",
    "Keep the outcome: you will want to compare it later.",
    "That is all it takes in most cases.",
    "Everything beyond that is a matter of practice.",
)


class OfflineModel:
    """The model that answers when no other one is configured."""

    def name(self, model: str) -> str:
        """Return the model's name, marked as answered offline."""
        return f"offline/{model}"

    async def is_available(self) -> bool:
        """Say yes."""
        return True

    def close(self) -> None:
        """Do nothing: nobody ever waits here."""

    async def questions(self, request: QuestionsRequest) -> Sequence[str]:
        """Return up to MOST_AT_ONCE new questions; the n-th of a request is always the same."""
        topics = _words(request.prompt.text, _TOPICS) or _SPARE_TOPICS
        seed = f"{request.position}/{request.seed}"
        asked = (request.kind, request.model, seed, request.template or "")
        first = _seed(*asked, _fingerprint(request.prompt.text))
        coming = (_question(topics, first, number) for number in count(len(request.known)))
        new = (question for question in coming if question_key(question) not in request.known)
        return list(islice(new, min(request.wanted, MOST_AT_ONCE)))

    async def answer(self, request: AnswerRequest) -> Answer:
        """Return a few sentences; at temperature 0 every sample is the same."""
        await asyncio.sleep(0)  # nobody else would get a turn while thousands are made
        sample = str(request.sample) if request.temperature > 0 else ""
        seed = _seed(request.model, _fingerprint(request.prompt.text), request.question, sample)
        known = _words(request.question, _KEYWORDS) + _words(request.prompt.text, _TOPICS)
        a, b, c = islice(dict.fromkeys((*known, *_SPARE_TOPICS)), _KEYWORDS)
        text = " ".join(
            (
                _OPENINGS[seed % len(_OPENINGS)].format(a=a, b=b),
                _MIDDLES[(seed >> 16) % len(_MIDDLES)].format(c=c),
                _CLOSINGS[(seed >> 32) % len(_CLOSINGS)],
            )
        )
        return _cut(text, request.max_tokens)


def _question(topics: Sequence[str], first: int, number: int) -> str:
    """Return the n-th question: every combination once, in scattered order, then in rounds."""
    space = len(topics) * len(_QUESTIONS) * len(_PEOPLE)
    step = next(step for step in range(space * 2 // 5 + 1, space * 2) if math.gcd(step, space) == 1)
    around, place = divmod(number, space)
    place, person = divmod((first + place * step) % space, len(_PEOPLE))
    topic, form = divmod(place, len(_QUESTIONS))
    text = _QUESTIONS[form].format(topic=topics[topic], person=_PEOPLE[person])
    return text if around == 0 else f"{text} (case {around + 1})"


def _cut(text: str, max_tokens: int | None) -> Answer:
    ends = [match.end() for match in islice(_TOKEN.finditer(text), max_tokens)]
    return Answer(text[: ends[-1]], len(ends))


def _seed(*parts: str) -> int:
    digest = blake2b("\0".join(parts).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


@lru_cache(maxsize=16)
def _fingerprint(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=256)
def _words(text: str, most: int) -> tuple[str, ...]:
    found = (match.group().lower() for match in _WORD.finditer(text))
    return tuple(islice(dict.fromkeys(word for word in found if word not in _COMMON), most))
