"""A model that is asked over the wire: questions and answers as chat completions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.service.work.endpoint.completion import answer_call, questions_call
from reconciler.service.work.endpoint.questions import listed, wording
from reconciler.service.work.model import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.service.work.endpoint.chat import Chat
    from reconciler.service.work.model import AnswerRequest, QuestionsRequest


class EndpointModel:
    """The models of one endpoint, under the names that targets and generators give."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def name(self, model: str) -> str:
        """Return the model's own name."""
        return model

    async def is_available(self) -> bool:
        """Say whether the endpoint answers."""
        return await self._chat.is_available()

    def close(self) -> None:
        """Begin no further request, and give up those that wait for their next attempt."""
        self._chat.stop()

    async def questions(self, request: QuestionsRequest) -> Sequence[str]:
        """Return the questions of one completion, without one that was cut off in the middle."""
        call = questions_call(request, wording(request))
        completion = await self._chat.complete("questions", call)
        found = listed(completion.text)
        return found[:-1] if completion.is_cut else found

    async def answer(self, request: AnswerRequest) -> Answer:
        """Return one completion; what was really sent is what the record shows."""
        call = answer_call(request)
        completion = await self._chat.complete("answers", call)
        sent = {name: call.body.get(name) for name in ("model", "temperature")}
        return Answer(completion.text, completion.tokens, {**sent, **completion.details})
