"""What a person is shown of a refusal, whatever its body is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.client.sentences import sentence_of
from reconciler.core import errors
from reconciler.render.style import safe

from .support import answer, asynchronous, speaking

NGINX = b"""<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body>\r
<center><h1>502 Bad Gateway</h1></center>\r
<hr><center>nginx/1.24.0</center>\r
</body>\r
</html>\r
"""
S3 = b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code><Message>Denied</Message></Error>"
BODIES: dict[str, tuple[Any, str]] = {
    "text": (b"upstream request timeout", "upstream request timeout"),
    "text of go": (b"400 page not found\n", "page not found"),
    "status and text": (b"400: nothing here", "nothing here"),
    "lines": (b"no healthy\r\n\tupstream\n\n", "no healthy upstream"),
    "text with a mark": (b"\xef\xbb\xbfno upstream", "no upstream"),
    "text with colours": (b"\x1b[31;1mno\x1b[0m upstream\x07", "no upstream"),
    "less": (b"numq must be < 5 and > 0", "numq must be < 5 and > 0"),
    "another encoding": ("ungültig für A".encode("latin-1"), "ung�ltig f�r A"),
    "broken json": (b'{"error": "No such thing', '{"error": "No such thing'),
    "python": (b"{'detail': 'No such thing'}", "{'detail': 'No such thing'}"),
    "string": ("Target is odd", "Target is odd"),
    "string over lines": ("Target\nis\todd", "Target is odd"),
    "list": (["one", {"msg": "two"}], "one; two"),
    "errors": ({"errors": ["Name is taken", "Name is long"]}, "Name is taken; Name is long"),
    "errors of objects": (
        {"errors": [{"message": "Name is taken", "code": 7}, {"detail": "too long"}, {"code": 1}]},
        "Name is taken; too long",
    ),
    "errors with places": ({"errors": [{"loc": ["a", 0], "message": "odd"}]}, "a.0: odd"),
    "one error": ({"errors": "Name is taken"}, "Name is taken"),
    "detail of texts": ({"detail": ["one", "two"]}, "one; two"),
    "problem": ({"type": "about:blank", "title": "Out of stock", "status": 400}, "Out of stock"),
    "problem with detail": ({"title": "Out of stock", "detail": "No more"}, "No more"),
    "marked json": (b'\xef\xbb\xbf{"error": "Target is odd"}', "Target is odd"),
    "number first": ({"error": "400 targets are too many"}, "400 targets are too many"),
    "nginx": (NGINX, "502 Bad Gateway"),
    "heading": (b"<html><body><h2 class='a'>We are <b>un</b>available</h2>x", "We are unavailable"),
    "second heading": (b"<h1> </h1><h2>Closed</h2><h3>Why</h3>", "Closed"),
    "empty title": (b"<title>\n</title><h1>Closed</h1>", "Closed"),
    "entities": (b"<TITLE>Don&#39;t &amp; won&rsquo;t</TITLE>", "Don't & won’t"),
    "several titles": (b"<title>Closed</title><svg><title>Logo</title></svg>", "Closed"),
    "no end": (b"<!doctype html><title>Closed", "Closed"),
    "commented": (b"<!-- <title>Not me</title> --><h1>Closed</h1>", "Closed"),
    "scripted": (b"<script>'<title>Not me</title>'</SCRIPT ><h1>Closed</h1>", "Closed"),
    "text and markup": (b"Closed <br/>today<script>alert(1)</script>.", "Closed today."),
    "number": (b"17", "Bad Request"),
    "true": (True, "Bad Request"),
    "nothing": (b"", "Bad Request"),
    "blanks": (b" \r\n ", "Bad Request"),
    "signs": (b"{", "Bad Request"),
    "xml": (S3, "Bad Request"),
    "silent page": (b"<html><body><p>Go away</p></body></html>", "Bad Request"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "Bad Request"),
    "errors of nothing": ({"errors": [7, None, [], {}]}, "Bad Request"),
}


@pytest.mark.parametrize(("body", "sentence"), BODIES.values(), ids=BODIES)
@asynchronous
async def test_the_sentence_is_told_whatever_brings_it(body: Any, sentence: str) -> None:
    async with speaking(answer(400, body)) as (api, _):
        with pytest.raises(errors.ApiError) as caught:
            await api.create_repo("r", None)
    assert caught.value.message == f"POST /v1/repo: 400: {sentence}"


@asynchronous
async def test_a_page_that_tells_its_status_does_not_make_it_told_twice() -> None:
    async with speaking(answer(502, NGINX)) as (api, _):
        with pytest.raises(errors.UnreachableError) as caught:
            await api.repo("r")
    assert caught.value.message == "GET /v1/repo/r: 502: Bad Gateway"


LONG: dict[str, bytes] = {
    "text": b"word " * 400_000,
    "one word": b"x" * 2_000_000,
    "blanks": b" " * 2_000_000 + b"x",
    "tags": b"<h1>" * 500_000,
    "titles": b"<title>a" * 250_000,
    "open comments": b"<!--" * 500_000,
    "open scripts": b"<script" * 300_000,
    "open tags": b"<a " * 700_000,
    "less": b"a<" * 1_000_000,
    "string": b'"' + b"x y" * 700_000 + b'"',
    "errors": json.dumps({"errors": ["no"] * 500_000}).encode(),
    "places": json.dumps({"detail": [{"loc": ["a"] * 500_000, "msg": "no"}]}).encode(),
    "depth": b'{"error": ' + b'{"message": ' * 300 + b'"x"' + b"}" * 301,
    "lists": b'{"errors": ' + b"[" * 300 + b'"x"' + b"]" * 300 + b"}",
}


@pytest.mark.parametrize("body", LONG.values(), ids=LONG)
def test_no_body_is_too_long_for_a_short_sentence(body: bytes) -> None:
    assert len(sentence_of(body)) <= 501


TAGS = ["<title>", "</title>", "<h1>", "</h1", "<script>", "</script>", "<!--", "-->", "<", ">"]
ODDITIES = [
    "&lt",
    "&#0;",
    "&#x1b;",
    "\x1b[2J",
    "\u202e",
    "\ud800",
    "word",
    " ",
    "\n",
    '"',
    "{",
    "\0",
]
PIECES = st.sampled_from(TAGS + ODDITIES)
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "errors", "message", "msg", "detail", "loc", "title"]), inner
        )
    ),
    max_leaves=8,
)


@given(
    TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
)
@example(b"\xef\xbb\xbf")
@example(b"<![foo[")
@example(b'"\\ud800"')
def test_a_sentence_is_one_short_line(body: bytes) -> None:
    sentence = sentence_of(body)
    assert safe(sentence) == sentence
    assert sentence == " ".join(sentence.split())
    assert len(sentence) <= 501


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_markup_is_told(text: str) -> None:
    sentence = sentence_of(text.replace("&lt", "").encode("utf-8", "surrogatepass"))
    for tag in ("<title", "</title", "<h1", "</h1", "<script", "</script", "<!--"):
        assert tag not in sentence
