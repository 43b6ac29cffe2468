"""Every check of a ready-made batch file, in one pass. Pure: takes bytes; knows neither files nor the network.

What is checked: all that the Batch API refuses a file for (`lines`), all that makes its requests fail later (`rules`),
and what parsers do not agree on: keys that are there twice, numbers that cannot be read. All of it but what is between
lines is the same for lines of one outline (`outline`), so it is found once for all of them.
"""

from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, cast

from batchwright.checks.lines import EMPTY_FILE, INVALID_LINE, Across, judge
from batchwright.checks.outline import outline
from batchwright.checks.rules import faults, lacks_json_word
from batchwright.core.jsonl import MAX_CUSTOM_ID_CHARACTERS, duplicate_key, json_values, split_lines
from batchwright.core.model import Endpoint, Fault, Json, LineError, ProviderInfo

MAX_VERDICTS = 1_000
"""That are kept at a time: a file whose parameters differ on each line must not fill the memory."""
MAX_KEY_CHARACTERS = 64
_BLANK_ID = LineError(
    "invalid_custom_id",
    f"The custom_id is blank or longer than {MAX_CUSTOM_ID_CHARACTERS} characters. Give another.",
    param="custom_id",
)


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
    for number, line in enumerate(split_lines(check.watch(blocks)), 1):
        if line:
            check.add(number, line)
    return check.report()


class _Verdict(NamedTuple):
    """What is wrong with a line.

    Attributes:
        lacks_json: Whether one of the faults is that its texts do not say JSON.
    """

    errors: Sequence[LineError]
    faults: Sequence[Fault]
    lacks_json: bool = False


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
        self._across = Across()
        self._outlines = lru_cache(MAX_VERDICTS)(self._judge_outline)
        self._findings: dict[Fault, Finding] = {}
        self._errors: list[LineError] = []
        self._more_errors = 0
        self._is_utf8 = True
        self._is_empty = True

    def report(self) -> Report:
        """Return what was found."""
        errors = [EMPTY_FILE] if self._is_empty else self._errors
        return Report(self._across.custom_ids, errors, self._more_errors, list(self._findings.values()))

    def watch(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the blocks again, and remember whether all so far are UTF-8: faster than line by line."""
        decoder = getincrementaldecoder("utf-8")()
        for block in blocks:
            try:
                decoder.decode(block)  # a character that is cut at the very end leaves its line unclosed
            except UnicodeDecodeError:
                self._is_utf8 = False
            yield block

    def add(self, number: int, line: bytes) -> None:
        """Check a line that is not blank."""
        self._is_empty = False
        try:
            verdict = self._by_outline(line) or self._judge(line, self._across)
        except RecursionError:
            verdict = _Verdict([INVALID_LINE], ())
        for error in verdict.errors:
            if len(self._errors) < self._most_errors:
                self._errors.append(LineError(error.code, error.message, number, error.param))
            else:
                self._more_errors += 1
        for fault in verdict.faults:
            self._findings.setdefault(fault, Finding(fault, number)).lines += 1

    def _by_outline(self, line: bytes) -> _Verdict | None:
        """Return the verdict on a line whose outline has no errors; None: the whole line has to be judged."""
        found = outline(line) if self._is_utf8 else None
        if found is None or found.custom_id in self._across.custom_ids or not _is_usable(found.custom_id):
            return None
        verdict = self._outlines(found.line)
        if verdict.errors:
            return None
        self._across.custom_ids[found.custom_id] = None
        if verdict.lacks_json and not self._lacking(json_values.decode(line)["body"]):
            return _Verdict((), verdict.faults[:-1])
        return verdict

    def _judge_outline(self, line: bytes) -> _Verdict:
        return self._judge(line, Across(models=self._across.models))

    def _judge(self, line: bytes, across: Across) -> _Verdict:
        fields, errors = judge(line, self._endpoint, across, self._is_model_known)
        errors += _stricter(line, fields)
        body = fields.get("body")
        if self._provider is None or not isinstance(body, dict):
            return _Verdict(errors, ())
        body = cast("dict[str, Json]", body)
        lacking = self._lacking(body)
        return _Verdict(errors, [*faults(self._endpoint, body, self._provider), *lacking], bool(lacking))

    def _lacking(self, body: Mapping[str, Json]) -> list[Fault]:
        """Return the fault of a request whose texts have to say JSON, and do not."""
        fault = lacks_json_word(self._endpoint, body, self._provider) if self._provider else None
        return [fault] if fault else []


def _is_usable(custom_id: str) -> bool:
    return bool(custom_id.strip()) and len(custom_id) <= MAX_CUSTOM_ID_CHARACTERS


def _stricter(line: bytes, fields: Mapping[str, Json]) -> Iterator[LineError]:
    """Find what this program refuses, and the Batch API is not known to: odd ids, and keys that are there twice."""
    custom_id = fields.get("custom_id")
    if isinstance(custom_id, str) and not _is_usable(custom_id):
        yield _BLANK_ID
    if fields and (key := duplicate_key(line)) is not None:
        shown = key[:MAX_KEY_CHARACTERS]
        yield LineError("duplicate_key", f"The key {shown!r} is there twice. Leave one of them.")
