"""Every check of a ready-made batch file, in one pass. Pure: takes bytes; knows neither files nor the network.

What is checked: all that the Batch API refuses a file for (`jsonl.line_errors`), all that makes its requests fail
later (`faults`), and what parsers do not agree on: keys that are there twice, numbers that cannot be read.

Most lines have the shape of the line before them (`shapes`), and are judged with it, once. A line that differs is cut
into its own shape, whose verdict is kept; one that cannot be cut is judged by itself.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import cast

import msgspec

from batchwright.faults import faults, lacks_json_word
from batchwright.jsonl import EMPTY_FILE, INVALID_LINE, MAX_CUSTOM_ID_CHARACTERS, Across, duplicate_key, line_errors
from batchwright.model import Endpoint, Fault, Json, LineError, ProviderInfo
from batchwright.parameters import FREE
from batchwright.shapes import Shape, chat_lines, cut, fits, input_lines, mention_json, raw_ids

_BOM = b"\xef\xbb\xbf"
MAX_SHAPES = 1_000
"""Whose verdicts are kept at a time: a file whose parameters differ on each line must not fill the memory."""
MAX_KEY_CHARACTERS = 64

_UTF8_BYTES = 1 << 14
"""Decoded at a time: more than this would not stay in the processor's nearest cache."""
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
    for text, end in _whole_lines(blocks):
        check.add(text, end)
    return check.report()


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Give bytes, and where their last whole line ends."""
    parts: list[bytes] = []
    is_start = True
    for block in blocks:
        parts.append(block)
        # A line of many blocks is put together once, at its end.
        if b"\n" in block:
            text = b"".join(parts)
            text = text.removeprefix(_BOM) if is_start else text
            is_start = False
            end = text.rfind(b"\n") + 1
            yield text, end
            parts = [text[end:]]
    text = b"".join(parts)
    text = text.removeprefix(_BOM) if is_start else text
    yield text, len(text)


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
        self._decode = chat_lines.decode if endpoint == "/v1/chat/completions" else input_lines.decode
        self._across = Across()
        self._shapes: dict[tuple[bytes, ...], Shape] = {}
        self._verdicts: dict[bytes, tuple[tuple[Fault, ...], bool]] = {}
        self._last: Shape | None = None
        self._findings: dict[Fault, Finding] = {}
        self._errors: list[LineError] = []
        self._more_errors = 0
        self._number = 0
        self._is_empty = True

    def report(self) -> Report:
        """Give what was found."""
        if self._is_empty:
            self._errors.append(EMPTY_FILE)
        return Report(self._across.custom_ids, self._errors, self._more_errors, list(self._findings.values()))

    def add(self, text: bytes, end: int) -> None:
        """Check the lines of *text* up to *end*."""
        view = memoryview(text)
        is_utf8 = text.isascii() or _is_utf8(view[:end])
        start = 0
        while start < end:
            stop = text.find(b"\n", start, end) + 1 or end
            self._number += 1
            if not (is_utf8 and self._is_like_the_last(text, view[start:stop], start, stop)):
                self._look_at(text[start:stop])
            start = stop

    def _is_like_the_last(self, text: bytes, line: memoryview, start: int, stop: int) -> bool:
        """Whether the line has the last line's shape, and nothing against it; if so, it is counted."""
        shape = self._last
        try:
            fields = self._decode(line) if shape else None
        except (msgspec.DecodeError, RecursionError):
            fields = None
        if not shape or not fields or not self._is_new(fields.custom_id) or not fits(shape, fields, text, start, stop):
            return False
        self._across.custom_ids[fields.custom_id] = None
        if shape.faults:
            self._count(shape.faults)
        return True

    def _is_new(self, custom_id: str) -> bool:
        return custom_id not in self._across.custom_ids and _is_usable(custom_id)

    def _look_at(self, line: bytes) -> None:
        """Check a line by itself."""
        self._last = None
        if not line.strip():
            return
        self._is_empty = False
        errors = line_errors(line, self._endpoint, self._across, self._is_model_known)
        if errors != [INVALID_LINE]:
            shape, texts = self._shape(line)
            errors += [*shape.errors, *_id_errors(line), *_list_errors(texts)]
            found = list(shape.faults)
            if shape.wants_json and self._provider and not mention_json(texts):
                body = cast("dict[str, Json]", _values.decode(line))["body"]
                lacking = lacks_json_word(self._endpoint, body, self._provider)
                found += [lacking] if lacking else []
            self._count(found)
            if not errors and shape.is_plain:
                self._last = shape
        for error in errors:
            if len(self._errors) < self._most_errors:
                self._errors.append(LineError(error.code, error.message, self._number, error.param))
            else:
                self._more_errors += 1

    def _count(self, found: Iterable[Fault]) -> None:
        for fault in found:
            self._findings.setdefault(fault, Finding(fault, self._number)).lines += 1

    def _shape(self, line: bytes) -> tuple[Shape, list[msgspec.Raw]]:
        """Give the line's shape, and the texts that were cut out of it."""
        pieces, texts, is_plain = cut(line, self._endpoint)
        shape = self._shapes.get(pieces)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[pieces] = self._judged(pieces, is_plain=is_plain)
        return shape, texts

    def _judged(self, pieces: tuple[bytes, ...], *, is_plain: bool) -> Shape:
        line = b"".join(pieces)
        shape = Shape(pieces[0], pieces[1:-1], pieces[-1], is_plain=is_plain)
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


def _is_utf8(view: memoryview) -> bool:
    start = 0
    try:
        while start < len(view):
            piece = view[start : start + _UTF8_BYTES]
            # What is not whole at a piece's end begins the next one.
            start += codecs.utf_8_decode(piece, "strict", start + len(piece) == len(view))[1]
    except UnicodeDecodeError:
        return False
    return True


def _id_errors(line: bytes) -> list[LineError]:
    try:
        custom_id = _values.decode(raw_ids.decode(line).custom_id)
    except (msgspec.DecodeError, RecursionError):
        return []
    return [] if not isinstance(custom_id, str) or _is_usable(custom_id) else [_BLANK_ID]


def _is_usable(custom_id: str) -> bool:
    return len(custom_id) <= MAX_CUSTOM_ID_CHARACTERS and not (custom_id.isspace() or custom_id == "")


def _list_errors(texts: Iterable[msgspec.Raw]) -> list[LineError]:
    """Find what is wrong inside lists that were cut out."""
    return [error for text in texts if bytes(text)[:1] == b"[" for error in _deep_errors(bytes(text))]


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
