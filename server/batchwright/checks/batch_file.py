"""Every check of a ready-made batch file, in one pass. Pure: takes bytes; knows neither files nor the network.

What is checked: all that the Batch API refuses a file for (`jsonl.line_errors`), all that makes its requests fail
later (`rules`), and what parsers do not agree on: keys that are there twice, numbers that cannot be read.

Most lines have the shape of a line shortly before them (`shapes`), and are judged with it, once. A line that differs is
cut into its own shape, whose verdict is kept; one that cannot be cut is judged by itself.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import cast

import msgspec

from batchwright.checks.lines import EMPTY_FILE, INVALID_LINE, Across, line_errors
from batchwright.checks.parameters import FREE
from batchwright.checks.rules import faults, lacks_json_word
from batchwright.checks.shapes import (
    MAX_CUSTOM_ID_CHARACTERS,
    TAGS,
    Cut,
    Shape,
    cut,
    is_usable,
    mention_json,
    raw_ids,
    run,
    tag_values,
)
from batchwright.core.jsonl import duplicate_key
from batchwright.core.model import Endpoint, Fault, Json, LineError, ProviderInfo

_BOM = b"\xef\xbb\xbf"
MAX_SHAPES = 1_000
"""Whose verdicts are kept at a time: a file whose parameters differ on each line must not fill the memory."""
MAX_KEY_CHARACTERS = 64
RECENT_SHAPES = 4
"""That a line is compared with: files with a few kinds of requests often mix them."""
_BLANK_ID = LineError(
    "invalid_custom_id",
    f"The custom_id is blank or longer than {MAX_CUSTOM_ID_CHARACTERS} characters. Give another.",
    param="custom_id",
)
_UNREADABLE = LineError("invalid_value", "The line holds a number that is too large to be read. Give a smaller one.")

_values = msgspec.json.Decoder()


@dataclass(slots=True)
class Finding:
    """A fault, the first line that has it, and how many have it."""

    fault: Fault
    line: int
    lines: int = 0


@dataclass(slots=True)
class Report:
    """What was found in a batch file.

    Attributes:
        custom_ids: Of its requests, in order; not to be trusted where there are errors.
        errors: The first for which its lines cannot be taken, in their order, counted from 1.
        more_errors: How many there are besides.
        findings: What makes requests fail later, or may.
    """

    custom_ids: Iterable[str] = ()
    errors: list[LineError] = field(default_factory=list[LineError])
    more_errors: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def certain(self) -> list[Finding]:
        """What certainly makes requests fail."""
        return [finding for finding in self.findings if finding.fault.is_certain]

    @property
    def suspected(self) -> list[Finding]:
        """What may make requests fail."""
        return [finding for finding in self.findings if not finding.fault.is_certain]


def check_file(
    blocks: Iterable[bytes],
    endpoint: Endpoint,
    provider: ProviderInfo | None,
    *,
    is_model_known: Callable[[str], bool] = lambda _: True,
    most_errors: int = 5,
) -> Report:
    r"""Check a batch file, given as *blocks* of bytes of any size.

    Lines end with `\n`; blank ones are counted, and passed over, as is a byte order mark at the start.
    Without a *provider*, what makes requests fail later is not looked at.
    """
    check = _Check(endpoint, provider, is_model_known, most_errors)
    for text in _whole_lines(blocks):
        check.add(text)
    return check.report()


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Give the bytes again, cut where lines end."""
    parts: list[bytes] = []
    mark = _BOM
    for block in blocks:
        end = block.rfind(b"\n") + 1
        # A line of many blocks is put together once, at its end.
        if end:
            # Looked at and not cut: what is joined is copied anyway.
            yield b"".join([*parts, memoryview(block)[:end]]).removeprefix(mark)
            parts, mark = [], b""
        parts.append(block[end:])
    yield b"".join(parts).removeprefix(mark)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Check:
    def __init__(
        self,
        endpoint: Endpoint,
        provider: ProviderInfo | None,
        is_model_known: Callable[[str], bool],
        most_errors: int,
    ) -> None:
        self._endpoint: Endpoint = endpoint
        self._provider = provider
        self._is_model_known = is_model_known
        self._most_errors = most_errors
        self._custom_ids: dict[str, None] = {}
        self._across = Across(self._custom_ids)
        self._shapes: dict[object, Shape] = {}
        self._verdicts: dict[bytes, tuple[tuple[Fault, ...], bool]] = {}
        self._tags: list[bytes] = []
        self._varying: set[str] = set()
        self._recent: deque[Shape] = deque(maxlen=RECENT_SHAPES)
        self._findings: dict[Fault, Finding] = {}
        self._errors: list[LineError] = []
        self._more_errors = 0
        self._number = 0
        self._is_empty = True

    def report(self) -> Report:
        """Give what was found."""
        if self._is_empty:
            self._errors.append(EMPTY_FILE)
        return Report(self._custom_ids, self._errors, self._more_errors, list(self._findings.values()))

    def add(self, text: bytes) -> None:
        """Check whole lines."""
        are_letters_good = _is_utf8(text)
        start = 0
        while start < len(text):
            before = start
            if are_letters_good and (start := self._past_known_shapes(text, start)) > before:
                continue
            stop = text.find(b"\n", start) + 1 or len(text)
            self._number += 1
            self._look_at(text[start:stop])
            start = stop

    def _past_known_shapes(self, text: bytes, start: int) -> int:
        """Pass over lines that have a shape that was seen shortly before, and nothing against them."""
        for shape in self._recent:
            stop, lines = run(shape, self._endpoint, text, start, self._custom_ids, _is_sound)
            if lines:
                self._number += lines
                self._count(shape.faults, lines)
                self._remember(shape)
                return stop
        return start

    def _remember(self, shape: Shape) -> None:
        if not self._recent or self._recent[0] is not shape:
            if shape in self._recent:
                self._recent.remove(shape)
            self._recent.appendleft(shape)

    def _look_at(self, line: bytes) -> None:
        """Check a line by itself."""
        if not line.strip():
            return
        self._is_empty = False
        errors = line_errors(line, self._endpoint, self._across, self._is_model_known)
        if errors != [INVALID_LINE]:
            shape, of_line = self._shape(line)
            errors += [*shape.errors, *_id_errors(line), *_inner_errors(of_line)]
            found = list(shape.faults)
            if shape.wants_json and self._provider and not mention_json(of_line.contents):
                body = cast("dict[str, Json]", _values.decode(line))["body"]
                lacking = lacks_json_word(self._endpoint, body, self._provider)
                found += [lacking] if lacking else []
            self._count(found)
            if not errors and shape.is_plain:
                self._remember(shape)
        for error in errors:
            if len(self._errors) < self._most_errors:
                self._errors.append(LineError(error.code, error.message, self._number, error.param))
            else:
                self._more_errors += 1

    def _count(self, found: Iterable[Fault], lines: int = 1) -> None:
        for fault in found:
            self._findings.setdefault(fault, Finding(fault, self._number)).lines += lines

    def _shape(self, line: bytes) -> tuple[Shape, Cut]:
        """Give the line's shape, and how it was cut."""
        of_line = cut(line, self._endpoint, self._varying_tags(line), _is_sound)
        key = of_line.pieces, of_line.fillers, of_line.tags
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = self._judged(of_line)
        return shape, of_line

    def _varying_tags(self, line: bytes) -> dict[str, bytes]:
        """Give the values of the tags that differ among the lines that were looked at: others belong to the shape."""
        values = tag_values(line)
        pairs = zip(TAGS, values, self._tags or values, strict=True)
        self._varying |= {name for name, value, last in pairs if value != last}
        self._tags = values
        return {name: value for name, value in zip(TAGS, values, strict=True) if name in self._varying}

    def _judged(self, of_line: Cut) -> Shape:
        line, pieces = of_line.line, of_line.pieces
        shape = Shape(pieces[0], pieces[1:-1], pieces[-1], of_line.tags, is_plain=of_line.is_plain)
        if errors := _deep_errors(line):
            return replace(shape, errors=errors)
        body = cast("dict[str, Json]", _values.decode(line)).get("body")
        if not isinstance(body, dict) or self._provider is None:
            return shape
        found, wants_json = self._verdict(cast("dict[str, Json]", body), self._provider)
        return replace(shape, faults=found, wants_json=wants_json)

    def _verdict(self, body: dict[str, Json], provider: ProviderInfo) -> tuple[tuple[Fault, ...], bool]:
        """Give the faults of a body without its texts, and whether the word JSON has to be looked for in these."""
        for name in FREE:
            if type(value := body.get(name)) in {int, str, dict}:
                body[name] = type(value)()
        key = msgspec.json.encode(body)
        verdict = self._verdicts.get(key)
        if verdict is None:
            if len(self._verdicts) >= MAX_SHAPES:
                self._verdicts.clear()
            # The word may also be in what was not cut out.
            wants_json = lacks_json_word(self._endpoint, body, provider) is not None
            verdict = self._verdicts[key] = tuple(faults(self._endpoint, body, provider)), wants_json
        return verdict


def _id_errors(line: bytes) -> list[LineError]:
    try:
        custom_id = _values.decode(raw_ids.decode(line).custom_id)
    except (msgspec.DecodeError, RecursionError):
        return []
    return [] if not isinstance(custom_id, str) or is_usable(custom_id) else [_BLANK_ID]


def _inner_errors(of_line: Cut) -> list[LineError]:
    """Find what is wrong inside lists and objects that were cut out."""
    inner = [*(content for content in of_line.contents if content[:1] == b"["), *of_line.objects]
    return [error for data in inner for error in _deep_errors(data)]


def _is_sound(data: bytes) -> bool:
    return not _deep_errors(data)


def _deep_errors(data: bytes) -> tuple[LineError, ...]:
    """Find what parsers do not agree on."""
    try:
        _values.decode(data)
        key = duplicate_key(data) if b"{" in data else None
    except msgspec.ValidationError:
        return (_UNREADABLE,)
    except (ValueError, RecursionError):
        return (INVALID_LINE,)
    if key is None:
        return ()
    shown = key[:MAX_KEY_CHARACTERS]
    return (LineError("duplicate_key", f"The key {shown!r} is there twice. Leave one of them."),)
