"""Comparing the ends of files with live records: few requests, no false alarm, no failed run."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from builders import target_id
from virtual_time import virtual

from reconciler.core.errors import AuthenticationError, NotFoundError, UnreachableError
from reconciler.core.model.desired import Stage
from reconciler.core.model.outputs import Output, OutputPage
from reconciler.core.planning.outputs_pulled import Compared, Finding
from reconciler.workflow.pulling import comparing
from reconciler.workflow.pulling.comparing import Looks, compare, judged, tails
from reconciler.workflow.pulling.files import Tail

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 3


def lines(*answers: str) -> bytes:
    return b"".join(b'{"response":"%s"}\n' % answer.encode() for answer in answers)


PULLED = lines("one", "two", "three")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def output(name: str = "t", content: bytes = PULLED) -> Output:
    return Output(target_id(name), Stage.ROLLOUT, f"{name}-live", COUNT, digest(content))


def path(root: Path, name: str = "t") -> Path:
    return root / "outputs" / "coding" / name / "rollout.jsonl"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a project in which the output of ``t`` was pulled."""
    file = path(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_bytes(PULLED)
    return tmp_path


@dataclass
class Outputs:
    """An API whose last records say ``answer``, after so many seconds."""

    answer: str = "three"
    seconds: float = 0.1
    change: Callable[[str, OutputPage], OutputPage] = lambda _, page: page
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0

    async def output(
        self, repo: str, target: str, stage: Stage, offset: int, limit: int
    ) -> OutputPage:
        self.asked.append((f"{repo}/{target}/{stage}", offset, limit))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        page = OutputPage([{"response": self.answer}], "complete", COUNT, offset, has_more=False)
        return self.change(target, page)


def known(*names: str) -> comparing.Tails:
    """Return the ends of files that hold what was pulled, for targets of these names."""
    tail = Tail(digest(lines("three")).removeprefix("sha256:"), len(PULLED))
    return {output(name): tail for name in names}


class TestEndsOfFiles:
    def test_the_last_line_is_known(self, root: Path) -> None:
        assert tails(root, [output()]) == known("t")

    def test_nothing_is_made_where_there_is_nothing(self, tmp_path: Path) -> None:
        assert tails(tmp_path, [output()]) == {}
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("content", [b"", PULLED[:-1], PULLED[:-7]])
    def test_a_file_that_was_cut_or_emptied_is_no_evidence(
        self, root: Path, content: bytes
    ) -> None:
        path(root).write_bytes(content)
        assert tails(root, [output()]) == {}

    @pytest.mark.parametrize("depth", range(4))
    def test_links_are_not_followed(self, root: Path, depth: int) -> None:
        place = [path(root), *path(root).parents][depth]
        place.rename(root / "elsewhere")
        place.symlink_to(root / "elsewhere")
        assert tails(root, [output()]) == {}

    def test_what_is_no_file_blocks_nothing(self, root: Path) -> None:
        path(root).unlink()
        os.mkfifo(path(root))
        assert tails(root, [output()]) == {}


class TestLooking:
    @virtual
    async def test_a_record_that_is_the_same_is_told_by_one_request(self) -> None:
        api = Outputs()
        assert await compare(api, known("t"), parallelism=4) == Looks((), {})
        assert api.asked == [("coding/t-live/rollout", COUNT - 1, 1)]

    @virtual
    async def test_another_record_is_noticed(self) -> None:
        found = await compare(Outputs("four"), known("t"), parallelism=4)
        assert found == Looks((output(),), {})

    @virtual
    async def test_many_are_asked_for_at_once_but_not_too_many(self) -> None:
        api = Outputs()
        await compare(api, known(*map(str, range(50))), parallelism=4)
        assert (len(api.asked), api.most) == (50, 4)

    @pytest.mark.parametrize(
        ("records", "more", "words"),
        [
            ([], {}, "there are 2 records where it counts 3"),
            ([{}], {"has_more": True}, "more records than the 3"),
            ([{}, {}], {}, "more records than the 3"),
            ([7], {}, "record 2 is no object"),
            ([{}], {"lines": 4}, "it had 3 records, now 4"),
            ([{}], {"offset": 0}, "asked for record 2, the API sent 0"),
            ([{}], {"status": "running"}, "its job is now running"),
        ],
    )
    @virtual
    async def test_an_answer_that_makes_no_sense_is_unknown(
        self, records: Any, more: Any, words: str
    ) -> None:
        api = Outputs(change=lambda _, page: OutputPage(records, **more))
        found = await compare(api, known("t"), parallelism=4)
        assert found.different == ()
        assert words in found.unknown[output()]

    @virtual
    async def test_a_failure_concerns_that_output_alone(self) -> None:
        def change(target: str, page: OutputPage) -> OutputPage:
            if target == "b-live":
                raise NotFoundError("no output")
            return page

        found = await compare(Outputs("four", change=change), known(*"abc"), parallelism=1)
        assert found == Looks((output("a"), output("c")), {output("b"): "no output"})

    @virtual
    async def test_a_refused_key_ends_it_for_all(self) -> None:
        def change(target: str, page: OutputPage) -> OutputPage:
            if target == "b-live":
                raise AuthenticationError("no such key")
            return page

        api = Outputs("four", change=change)
        found = await compare(api, known(*"abcd"), parallelism=1)
        assert found.different == (output("a"),)
        assert found.unknown == {output(name): "no such key" for name in "bcd"}
        assert len(api.asked) == 2

    @virtual
    async def test_an_api_that_does_not_answer_is_not_waited_for_long(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        api = Outputs("four", seconds=3600)
        found = await compare(api, known(*map(str, range(200))), parallelism=4)
        assert loop.time() - began == 12
        assert found.different == ()
        assert set(found.unknown.values()) == {"the API took longer than 12 s"}
        assert api.under_way == 0

    @virtual
    async def test_an_api_that_is_down_fails_nothing(self) -> None:
        def down(target: str, page: OutputPage) -> OutputPage:
            raise UnreachableError("down")

        found = await compare(Outputs(change=down), known(*"ab"), parallelism=4)
        assert found == Looks((), {output("a"): "down", output("b"): "down"})


class TestJudging:
    """A difference is the fault of live data only if the file is what was pulled."""

    def told(self, root: Path, *outputs: Output) -> list[Compared]:
        return list(judged(root, known("t", "u"), Looks(outputs, {})))

    def test_a_file_that_is_what_was_pulled_is_proof(self, root: Path) -> None:
        assert self.told(root, output()) == [Compared(output(), Finding.CHANGED)]

    @pytest.mark.parametrize(
        "content",
        [
            lines("one", "two"),
            lines("one", "two", "three", "four"),
            lines("one", "TWO", "three"),
            b"",
        ],
    )
    def test_a_file_that_is_something_else_is_none(self, root: Path, content: bytes) -> None:
        path(root).write_bytes(content)
        assert self.told(root, output()) == []

    def test_neither_is_one_that_is_gone_meanwhile(self, root: Path) -> None:
        path(root).unlink()
        assert self.told(root, output()) == []

    def test_much_that_would_have_to_be_read_is_left_in_doubt(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(comparing, "_MOST_READ", 2 * len(PULLED) - 1)
        path(root, "u").parent.mkdir()
        path(root, "u").write_bytes(PULLED)
        assert self.told(root, output("t"), output("u")) == [
            Compared(output("t"), Finding.CHANGED),
            Compared(output("u"), Finding.EITHER),
        ]

    def test_what_is_unknown_is_told_with_its_reason(self, root: Path) -> None:
        looks = Looks((), {output(): "down"})
        assert list(judged(root, known("t"), looks)) == [
            Compared(output(), Finding.UNKNOWN, "down")
        ]
