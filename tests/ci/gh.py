"""A stand-in for GitHub's command line: the calls that the recipes make, on files.

``GH_STATE`` is a directory: ``comments.json`` and ``sarif.json`` are what GitHub has stored,
``calls`` lists what was asked. The token ``read-only`` may not write. A page has two entries.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

STATE = Path(os.environ["GH_STATE"])
PAGE = 2
LONGEST = 65_536


def main() -> None:
    parser = argparse.ArgumentParser(prog="gh")
    parser.add_argument("words", nargs="+")
    parser.add_argument("--paginate", action="store_true")
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--jq", default=".")
    parser.add_argument("-f", dest="raw", action="append", default=[])
    parser.add_argument("-F", dest="typed", action="append", default=[])
    arguments = parser.parse_intermixed_args()
    STATE.mkdir(exist_ok=True)
    with (STATE / "calls").open("a") as calls:
        print(arguments.method, *arguments.words, file=calls)
    if not os.environ.get("GH_TOKEN"):
        sys.exit("gh: To use GitHub CLI in a GitHub Actions workflow, set GH_TOKEN.")
    if arguments.words[0] == "api":
        answer(arguments)
    elif arguments.words != ["auth", "setup-git"]:
        sys.exit(f"gh: unknown command {arguments.words}")


def answer(arguments: argparse.Namespace) -> None:
    path = arguments.words[1].partition("?")[0]
    if arguments.method == "GET":
        show(arguments)
    elif os.environ["GH_TOKEN"] == "read-only":
        sys.exit("gh: Resource not accessible by integration (HTTP 403)")
    elif path.endswith("/code-scanning/sarifs"):
        fields = given(arguments)
        packed = base64.b64decode(fields.pop("sarif"), validate=True)
        log = json.loads(gzip.decompress(packed))
        (STATE / "sarif.json").write_text(json.dumps({**fields, "sarif": log}))
    else:
        write_comment(path, arguments)


def show(arguments: argparse.Namespace) -> None:
    found = comments()
    pages = [found[start : start + PAGE] for start in range(0, len(found), PAGE)] or [[]]
    for page in pages if arguments.paginate else pages[:1]:
        filtered = ["jq", "--raw-output", arguments.jq]
        subprocess.run(filtered, input=json.dumps(page).encode(), check=True)


def write_comment(path: str, arguments: argparse.Namespace) -> None:
    body = given(arguments)["body"]
    if len(body) > LONGEST:
        sys.exit("gh: Body is too long (HTTP 422)")
    found = comments()
    if arguments.method == "POST":
        found.append({"id": 100 + len(found), "user": {"login": "github-actions[bot]"}})
    number = found[-1]["id"] if arguments.method == "POST" else int(path.rpartition("/")[2])
    next(one for one in found if one["id"] == number)["body"] = body
    (STATE / "comments.json").write_text(json.dumps(found))


def comments() -> list[dict[str, Any]]:
    file = STATE / "comments.json"
    return list(json.loads(file.read_text())) if file.exists() else []


def given(arguments: argparse.Namespace) -> dict[str, str]:
    fields = dict(field.split("=", 1) for field in arguments.raw)
    for field in arguments.typed:
        key, value = field.split("=", 1)
        fields[key] = Path(value[1:]).read_text() if value.startswith("@") else value
    return fields


if __name__ == "__main__":
    main()
