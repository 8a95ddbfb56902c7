"""Chat completions as values: what to send for a request, what an answer says. Pure."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.service.work.model import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.service.work.model import AnswerRequest, QuestionsRequest

Json = dict[str, Any]

_NO_SECONDS = "extra_kwargs.timeout must be a number of seconds"
_HARMLESS: dict[str, tuple[object, ...]] = {
    "messages": (),
    "n": (1, None),
    "stream": (False, None),
    "stream_options": (None,),
}
"""What the service decides, and the values that change nothing about it."""
_STRINGS = ("extra_headers", "extra_query")
_KEPT = ("tool_calls", "reasoning_content", "reasoning", "refusal")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of ``chat/completions``; ``timeout`` in seconds, None for the usual one."""

    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What a completion says: its text, its tokens if told, and what else is worth keeping."""

    text: str
    tokens: int | None
    prompt_tokens: int | None
    finish_reason: str | None
    details: Json

    @property
    def is_cut(self) -> bool:
        """Whether the text ends where the tokens did."""
        return self.finish_reason == "length"


def answer_call(request: AnswerRequest) -> Call:
    """Return the call for a trajectory; raises ModelError for ``extra_kwargs`` nobody could send.

    ``extra_kwargs`` means what it means to ``chat.completions.create`` of the official client:
    ``extra_body``, ``extra_headers``, ``extra_query`` and ``timeout`` concern the call, all else
    goes into the body and may replace what the target says; null leaves a field out.
    """
    extra = dict(request.extra_kwargs)
    more = extra.pop("extra_body", None) or {}
    headers, query = (_strings(name, extra.pop(name, None)) for name in _STRINGS)
    timeout = _seconds(extra.pop("timeout", None))
    if not isinstance(more, dict):
        raise ModelError("extra_kwargs.extra_body must be an object")
    _refuse_what_the_service_decides({**extra, **more})
    body = {
        "model": request.model,
        "messages": [*request.prompt.messages, {"role": "user", "content": request.question}],
        "temperature": request.temperature,
    }
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.prompt.tools:
        body["tools"] = list(request.prompt.tools)
    sent = {name: value for name, value in {**body, **extra, **more}.items() if value is not None}
    return Call(sent, headers, query, timeout)


def questions_call(request: QuestionsRequest, text: str) -> Call:
    """Return the call that asks for questions with a text.

    Every further call for one generator has another seed, lest the same answer come again.
    """
    seed = None if request.seed is None else request.seed + request.asked
    wanted = {"temperature": request.temperature, "max_tokens": request.max_tokens, "seed": seed}
    given = {name: value for name, value in wanted.items() if value is not None}
    messages = [{"role": "user", "content": text}]
    return Call({"model": request.model, "messages": messages, **given})


def read(raw: bytes) -> Completion | None:
    """Return what the body of an answer says, None when it is no chat completion."""
    try:
        completion = _loads(raw)
        choice = completion["choices"][0]
        message, usage = choice["message"], completion.get("usage") or {}
        return Completion(
            text=_text(message.get("content")),
            tokens=_count(usage.get("completion_tokens")),
            prompt_tokens=_count(usage.get("prompt_tokens")),
            finish_reason=_reason(choice),
            details=_details(message, _reason(choice)),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def sentence(raw: bytes, secret: str | None = None) -> str:
    """Return what the body of a refusal says, cut to one line; "" when it says nothing.

    A secret that is repeated there is left out, before anything is cut.
    """
    try:
        said: Any = json.loads(raw)
    except (ValueError, RecursionError):
        said = raw.decode(errors="replace")
    for _ in range(2):
        if isinstance(said, dict):
            said = next((said[key] for key in ("error", "message", "detail") if said.get(key)), "")
    words = said if isinstance(said, str) else json.dumps(said)
    words = (words.replace(secret, "…") if secret else words)[:_ENOUGH]
    line = " ".join("".join(char if char.isprintable() else " " for char in words).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


_LONGEST = 300
_ENOUGH = 10_000
_MOST_TOKENS = 2**31


def _refuse_what_the_service_decides(extra: Mapping[str, object]) -> None:
    for name, harmless in _HARMLESS.items():
        if name in extra and extra[name] not in harmless:
            raise ModelError(f"extra_kwargs may not hold '{name}': the service decides it")


def _strings(name: str, value: object) -> dict[str, str]:
    given = {} if value is None else value
    if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()):
        raise ModelError(f"extra_kwargs.{name} must be an object of strings")
    return given


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError(_NO_SECONDS)
    if not 0 < value <= sys.float_info.max:
        raise ModelError(_NO_SECONDS)
    return float(value)


def _loads(raw: bytes) -> Any:
    """Return a JSON value without what could not be stored: lone surrogates, NaN, infinity."""
    text = raw.decode("utf-8-sig")
    value = json.loads(text, parse_constant=lambda _: None)
    if "\\u" in text:
        value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return value


def _text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise TypeError
    texts = (part.get("text") for part in content)
    return "".join(text for text in texts if isinstance(text, str))


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _reason(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) else None


def _details(message: Mapping[str, Any], reason: str | None) -> Json:
    kept = {name: message[name] for name in _KEPT if message.get(name)}
    return {**kept, **({"finish_reason": reason} if reason else {})}
