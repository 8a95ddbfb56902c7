"""The page in a real browser: what it loads, how it reads, and what its script adds.

Skipped, and said so at the end of the run, where no Chromium is installed; CHROME names another.
"""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.render.report.page import page

from . import support
from .browser import program, tab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .browser import Tab

BROWSER = program()
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium to look at reports with")
PAGES = {
    "/troubled": page(support.troubled()),
    "/converged": page(support.converged()),
    "/empty": page(support.empty()),
    "/many": page(support.troubled(1000)),
}


class Server(ThreadingHTTPServer):
    """Serves the pages, and remembers what it was asked for."""

    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = PAGES.get(self.path, "").encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as serving:
        serving.asked = []
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    assert BROWSER
    with tab(BROWSER, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def show(browser: Tab, server: Server, path: str, *, width: int = 1280, dark: bool = False) -> None:
    server.asked.clear()
    browser.open(f"http://127.0.0.1:{server.server_port}{path}", width=width, dark=dark)


@pytest.mark.parametrize("path", PAGES)
def test_nothing_but_the_page_is_asked_for_and_nothing_is_complained_about(
    browser: Tab, server: Server, path: str
) -> None:
    show(browser, server, path)
    browser.value("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    asked = [sent["request"]["url"] for sent in browser.told("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [asked[0]]
    assert server.asked == [path]
    assert browser.told("Log.entryAdded") == []
    assert browser.told("Runtime.exceptionThrown") == []


def test_the_page_forbids_itself_to_load_or_run_anything_else(browser: Tab, server: Server) -> None:
    """What would be asked for if a name broke out of its place after all."""
    show(browser, server, "/converged")
    browser.value(
        """(() => {
          document.body.insertAdjacentHTML("beforeend",
            "<img src='/picture'><iframe src='/frame'></iframe><p id=p style='color: red'>");
          const script = document.createElement("script");
          script.textContent = "window.owned = true";
          document.body.append(script);
          return fetch("/fetched").catch(() => 0).then(() => 0);
        })()"""
    )
    assert browser.value("window.owned") is None
    assert browser.value("getComputedStyle(p).color") != "rgb(255, 0, 0)"
    assert server.asked == ["/converged"]


AXE = """axe.run().then((found) => ({
  passed: found.passes.length,
  complaints: found.violations.map((rule) => [rule.id, rule.nodes.slice(0, 3).map((n) => n.html)]),
}))"""


def axe() -> str | None:
    """Return where axe-core lies: in AXE_CORE, or in a package that brings it."""
    found = find_spec("axe_core_python")
    packaged = Path(found.origin).with_name("axe.min.js") if found and found.origin else None
    return os.environ.get("AXE_CORE") or (str(packaged) if packaged else None)


@pytest.mark.skipif(axe() is None, reason="no axe-core to judge reports with (AXE_CORE=FILE)")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", ["/troubled", "/converged", "/empty"])
def test_axe_finds_nothing_to_mend(browser: Tab, server: Server, path: str, dark: bool) -> None:
    show(browser, server, path, dark=dark)
    browser.value("for (const one of document.querySelectorAll('details')) one.open = true")
    browser.value(Path(axe() or "").read_text() + ";0")
    found = browser.value(AXE)
    assert found["complaints"] == []
    assert found["passed"] > 20


@pytest.mark.parametrize("path", ["/troubled", "/converged", "/empty"])
@pytest.mark.parametrize("width", [320, 768])
def test_a_narrow_window_scrolls_down_only(
    browser: Tab, server: Server, path: str, width: int
) -> None:
    show(browser, server, path, width=width)
    assert browser.value("document.documentElement.scrollWidth") == width


def test_dark_and_light_follow_the_reader(browser: Tab, server: Server) -> None:
    grounds = []
    for dark in (False, True):
        show(browser, server, "/converged", dark=dark)
        grounds.append(browser.value("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(15, 19, 24)"]


SHOWN = "[...document.querySelectorAll('#targets tbody tr')].filter((row) => row.offsetHeight)"
FIRST = f"{SHOWN}[0].cells[0].firstChild.textContent"


def test_targets_are_narrowed_down_by_name_and_state(browser: Tab, server: Server) -> None:
    show(browser, server, "/troubled")
    assert browser.value(f"{SHOWN}.length") == 40
    browser.value("document.querySelector('#tools input').focus()")
    for char in "003":
        browser.call("Input.insertText", text=char)
    assert browser.value(f"{SHOWN}.length") == 11
    browser.value(
        "(() => { const state = document.querySelector('#tools select'); state.value = 'problem';"
        " state.dispatchEvent(new Event('change')); })()"
    )
    assert browser.value(f"{SHOWN}.length") == 4
    assert browser.value("document.querySelector('#tools output').textContent") == "4 of 40 shown"


def test_targets_are_sorted_with_the_keyboard(browser: Tab, server: Server) -> None:
    show(browser, server, "/troubled")
    assert browser.value(FIRST) == "coding/target-0000"
    browser.value("document.querySelectorAll('#targets button')[3].focus()")
    for way in ("ascending", "descending"):
        browser.press("Enter", 13)
        heads = "[...document.querySelectorAll('#targets thead th')].map((th) => th.ariaSort)"
        assert browser.value(heads) == [None, None, None, way]
    lines = f"{SHOWN}.map((row) => Number(row.cells[3].dataset.v))"
    counts = browser.value(lines)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 500


def test_without_scripts_everything_is_there_but_the_tools(browser: Tab, server: Server) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        show(browser, server, "/troubled")
        assert browser.value(f"{SHOWN}.length") == 40
        assert browser.value("document.querySelector('#tools').offsetHeight") == 0
        assert browser.value("document.querySelectorAll('#targets button').length") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_the_first_key_leads_to_the_content_and_shows_where_it_is(
    browser: Tab, server: Server
) -> None:
    show(browser, server, "/troubled")
    browser.press("Tab", 9)
    assert browser.value("document.activeElement.className") == "skip"
    assert browser.value("document.activeElement.getBoundingClientRect().left") >= 0
    assert browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("Enter", 13)
    assert browser.value("document.activeElement.id") == "content"


def test_paper_shows_the_whole_history_and_no_tools(browser: Tab, server: Server) -> None:
    show(browser, server, "/troubled")
    browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    try:
        assert browser.value("document.querySelector('#tools').offsetHeight") == 0
        assert browser.value("document.querySelector('nav').offsetHeight") == 0
        assert browser.value("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        assert browser.value("document.querySelector('details table').offsetHeight") > 0
    finally:
        browser.call("Emulation.setEmulatedMedia", media="", features=[])
