"""Read YAML text into plain values that JSON can hold, without losing where they stand.

Works on the parser's events, so that nothing is built which a document has no right to: duplicate
keys, keys that are no text, foreign tags, values JSON lacks, aliases that explode, bottomless
nesting. Each of these is a fault with a position, never an exception. Reads no files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml
from yaml import events

from reconciler.core.names import suggest
from reconciler.core.schema.wording import quoted
from reconciler.manifests.parser import DEEPEST, MOST_VALUES, TOO_DEEP, Event, parser
from reconciler.manifests.scalars import Refused, escaped, plain, reading, refused_tag, tagged
from reconciler.manifests.syntax import Fault, explain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model.manifest import DocumentPath, JsonValue

Node: TypeAlias = "Event | Collection"

#: The most values that the aliases of one file may repeat, all together.
ALIAS_BUDGET = 200_000

_TOO_MANY = f"this file holds more than {MOST_VALUES:,} values; split it"


class _Discarded:
    """Takes the place of a key whose value is read, but not kept under it."""


_SKIPPED = _Discarded()
_MERGED = _Discarded()


class Collection:
    """A mapping or a list, while it is read and afterwards: its value, and where its parts stand.

    ``children`` has for each key or index the event of the key (of the value, in a list) and the
    node of the value; ``key`` is the key whose value comes next, ``merged`` what ``<<`` brought in.
    """

    __slots__ = ("children", "event", "key", "key_event", "merged", "value")

    def __init__(self, event: Event, value: Any) -> None:
        self.event = event
        self.value = value
        self.children: dict[str | int, tuple[Event, Node]] = {}
        self.key: str | _Discarded | None = None
        self.key_event = event
        self.merged: list[Collection] = []

    @property
    def is_mapping(self) -> bool:
        """Tell a mapping from a list."""
        return self.value.__class__ is dict


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document: its value, where its parts stand, and what could not be taken as it is.

    At the paths in ``replaced`` a fault was found already, and the value is not the author's.
    """

    value: JsonValue
    root: Node
    faults: tuple[Fault, ...]
    replaced: frozenset[DocumentPath]

    def find(self, path: DocumentPath) -> tuple[Event, Node] | None:
        """Return the event of the key and the node of the value at a path, if it is there."""
        found: tuple[Event, Node] | None = (_start(self.root), self.root)
        for step in path:
            node = found[1] if found else None
            found = node.children.get(step) if isinstance(node, Collection) else None
        return found

    def scalar(self, path: DocumentPath) -> Event | None:
        """Return the scalar at a path as it was written, if there is one."""
        found = self.find(path)
        return None if found is None or isinstance(found[1], Collection) else found[1]

    def position(self, path: DocumentPath, *, at_key: bool = False) -> tuple[int, int]:
        """Return line and column of a path, or of its nearest ancestor that is there."""
        while (found := self.find(path)) is None:
            path = path[:-1]
        key_event, node = found
        mark = (key_event if at_key else _start(node)).start_mark
        return mark.line + 1, mark.column + 1


@dataclass(slots=True)
class YamlText:
    """The documents of a text, up to the fault that stopped the parser, if one did."""

    documents: list[YamlDocument] = field(default_factory=list)
    stopped: Fault | None = None


def read(text: str) -> YamlText:
    """Read every document of a text; documents that hold nothing at all are left out."""
    reader = _Reader()
    try:
        reader.follow(text)
    except _StopReadingError as stop:
        reader.found.stopped = stop.fault
    except yaml.YAMLError as error:
        reader.found.stopped = explain(error, text)
    return reader.found


class _StopReadingError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Reader:
    """Follows the events of one text and builds its documents."""

    def __init__(self) -> None:
        self.found = YamlText()
        self._alias_budget = ALIAS_BUDGET

    def follow(self, text: str) -> None:
        handlers = {
            events.DocumentStartEvent: self._begin_document,
            events.DocumentEndEvent: self._end_document,
            events.ScalarEvent: self._scalar,
            events.AliasEvent: self._alias,
            events.MappingStartEvent: self._begin_mapping,
            events.MappingEndEvent: self._end_collection,
            events.SequenceStartEvent: self._begin_sequence,
            events.SequenceEndEvent: self._end_collection,
        }
        loader = parser(text)
        try:
            loader.get_event()
            room = MOST_VALUES
            while (event := loader.get_event()).__class__ is not events.StreamEndEvent:
                handlers[event.__class__](event)
                room -= 1
                if not room:
                    raise _StopReadingError(_fault_at(event, _TOO_MANY))
        finally:
            loader.dispose()

    def _begin_document(self, event: Event) -> None:
        self._stack = [Collection(event, [])]
        self._anchors: dict[str, tuple[JsonValue, Node]] = {}
        self._faults: list[Fault] = []
        self._replaced: set[DocumentPath] = set()

    def _end_document(self, _: Event) -> None:
        top = self._stack[0]
        node = top.children[0][1]
        if self._faults or not _is_nothing(node):
            self.found.documents.append(
                YamlDocument(top.value[0], node, tuple(self._faults), frozenset(self._replaced))
            )

    def _scalar(self, event: Event) -> None:
        value: JsonValue = event.value
        if event.implicit[0]:
            value = plain(value)
        elif event.tag is not None:
            value = tagged(event.tag, value)
        elif event.style == '"':
            value = escaped(value)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, event)
        if value.__class__ is Refused and not self._at_key:
            self._fault(event, value.message)
            value = None
            self._note_replaced(self._stack[1:])
        self._put(value, event, event)

    def _begin_mapping(self, event: Event) -> None:
        self._begin(event, {}, "map")

    def _begin_sequence(self, event: Event) -> None:
        self._begin(event, [], "seq")

    def _begin(self, event: Event, empty: dict[str, Any] | list[Any], tag: str) -> None:
        if event.tag not in (None, "!", f"tag:yaml.org,2002:{tag}"):
            self._fault(event, refused_tag(event.tag).message)
            if not self._at_key:
                self._note_replaced(self._stack[1:])
        if len(self._stack) > DEEPEST:
            raise _StopReadingError(_fault_at(event, TOO_DEEP))
        self._anchors.pop(event.anchor, None)
        self._stack.append(Collection(event, empty))

    def _end_collection(self, _: Event) -> None:
        done = self._stack.pop()
        if done.merged:
            _apply_merges(done)
        if done.event.anchor is not None:
            self._anchors[done.event.anchor] = (done.value, done)
        self._put(done.value, done, done.event)

    def _alias(self, event: Event) -> None:
        if event.anchor not in self._anchors:
            raise _StopReadingError(_fault_at(event, self._no_anchor(event.anchor)))
        value, node = self._anchors[event.anchor]
        self._alias_budget -= _weight(value, len(self._stack), event)
        if self._alias_budget < 0:
            message = f"the aliases of this file repeat more than {ALIAS_BUDGET:,} values"
            raise _StopReadingError(_fault_at(event, message))
        if value.__class__ is Refused and not self._at_key:
            value = None
            self._note_replaced(self._stack[1:])
        self._put(value, node, event)

    def _no_anchor(self, name: str) -> str:
        if any(frame.event.anchor == name for frame in self._stack[1:]):
            return f"the alias *{name} stands inside of what it repeats"
        return f"there is no anchor &{name} above this alias{suggest(name, self._anchors)}"

    def _put(self, value: JsonValue, node: Node, event: Event) -> None:
        frame = self._stack[-1]
        holder = frame.value
        if holder.__class__ is list:
            frame.children[len(holder)] = (event, node)
            holder.append(value)
        elif frame.key is None:
            self._take_key(frame, value, node, event)
        else:
            if frame.key.__class__ is str:
                frame.children[frame.key] = (frame.key_event, node)
                holder[frame.key] = value
            elif frame.key is _MERGED:
                self._merge(frame, node, event)
            frame.key = None

    def _take_key(self, frame: Collection, value: JsonValue, node: Node, event: Event) -> None:
        frame.key_event = event
        if value == "<<" and not isinstance(node, Collection) and node.implicit[0]:
            frame.key = _MERGED
        elif value.__class__ is str and value not in frame.children:
            frame.key = value
        else:
            frame.key = _SKIPPED
            self._fault(event, _refused_key(frame, value, node))
            if isinstance(node, Collection):  # most likely not meant to be a mapping at all
                self._note_replaced(self._stack[1:-1])

    def _merge(self, frame: Collection, node: Node, event: Event) -> None:
        parts: list[Node] = [node]
        if isinstance(node, Collection) and not node.is_mapping:
            parts = [part for _, part in reversed(node.children.values())]
        mappings = [part for part in parts if isinstance(part, Collection) and part.is_mapping]
        if len(mappings) < len(parts):
            self._fault(event, '"<<" takes a mapping or a list of mappings')
        frame.merged.extend(mappings)

    @property
    def _at_key(self) -> bool:
        frame = self._stack[-1]
        return frame.is_mapping and frame.key is None

    def _note_replaced(self, frames: Iterable[Collection]) -> None:
        self._replaced.add(tuple(_step(frame) for frame in frames))

    def _fault(self, event: Event, message: str) -> None:
        self._faults.append(_fault_at(event, message))


def _apply_merges(done: Collection) -> None:
    """Lay the own entries of a mapping over what was merged into it, the last merged first."""
    value: dict[str, Any] = {}
    children: dict[str | int, tuple[Event, Node]] = {}
    for source in (*done.merged, done):
        value.update(source.value)
        children.update(source.children)
    done.value, done.children = value, children


def _refused_key(frame: Collection, value: JsonValue, node: Node) -> str:
    if isinstance(node, Collection):
        kind = "a mapping" if node.is_mapping else "a list"
        return f"a key must be text, not {kind}; put text that begins with a bracket in quotes"
    if isinstance(value, Refused):
        return value.message
    if isinstance(value, str):
        line = frame.children[value][0].start_mark.line + 1
        return f"duplicate key {quoted(value)}; the first one is on line {line}"
    if node.value == "":
        return 'a key is missing before this ":"'
    text = node.value
    return f'a key must be text, but YAML reads {text} as {reading(text, value)}; write "{text}"'


def _weight(value: JsonValue, depth: int, event: Event) -> int:
    """Count the values that an alias repeats, long texts for several; stop beyond the budget."""
    if depth > DEEPEST:
        raise _StopReadingError(_fault_at(event, TOO_DEEP))
    if isinstance(value, str):
        return 1 + len(value) // 100
    parts: Iterable[JsonValue] = ()
    if isinstance(value, (dict, list)):
        parts = value.values() if isinstance(value, dict) else value
    total = 1
    for part in parts:
        total += _weight(part, depth + 1, event)
        if total > ALIAS_BUDGET:
            break
    return total


def _is_nothing(node: Node) -> bool:
    """Tell whether a document has no content, but comments perhaps."""
    return not isinstance(node, Collection) and node.value == "" and bool(node.implicit[0])


def _step(frame: Collection) -> str | int:
    return str(frame.key) if frame.is_mapping else len(frame.value)


def _start(node: Node) -> Event:
    return node.event if isinstance(node, Collection) else node


def _fault_at(event: Event, message: str) -> Fault:
    mark = event.start_mark
    return Fault(mark.line + 1, mark.column + 1, message)
