"""Every check of a ready-made batch file, in one pass. Pure: takes bytes; knows neither files nor the network.

It finds whatever the Batch API refuses a file for (`lines`), whatever makes requests fail later (`rules`), and whatever
parsers disagree about: repeated keys, and numbers that cannot be read. Except for what is compared between lines, all
of it is the same for lines with the same outline (`outline`), so it is found once for all of them.
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
"""Kept at a time: a file whose parameters differ on each line must not fill the memory."""
MAX_KEY_CHARACTERS = 64
_BLANK_ID = LineError(
    "invalid_custom_id",
    f"The custom_id is blank or longer than {MAX_CUSTOM_ID_CHARACTERS} characters. Choose another one.",
    param="custom_id",
)


@dataclass(slots=True)
class Finding:
    """A fault, the first line that has it, and how many have it."""

    fault: Fault
    line: int
    lines: int = 0


@dataclass(slots=True)
class BatchFileReport:
    """What was found in a batch file.

    Attributes:
        custom_ids: Of its requests, in order; unreliable if there are errors.
        errors: The first reasons to refuse the file, in the order of its lines.
        findings: What makes requests fail later, or may.
    """

    custom_ids: dict[str, None]
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
) -> BatchFileReport:
    r"""Check a batch file, given as *blocks* of bytes of any size.

    Lines end with `\n`; blank ones are counted but skipped, and a byte order mark at the start is skipped too.
    Without a *provider*, nothing is said about requests that would fail later.
    """
    check = _Check(endpoint, provider, is_model_known, most_errors)
    for number, line in enumerate(split_lines(check.watch(blocks)), 1):
        if line:
            check.add(number, line)
    report = check.report
    if not report.custom_ids and not report.errors:
        report.errors.append(EMPTY_FILE)
    report.findings.extend(check.findings.values())
    return report


class _Verdict(NamedTuple):
    """What is wrong with a line; if *lacks_json*, the last fault is that its texts do not mention JSON."""

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
        self._is_utf8 = True
        self.report = BatchFileReport(self._across.custom_ids)
        self.findings: dict[Fault, Finding] = {}

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
        try:
            verdict = self._by_outline(line) or self._judge(line, self._across)
        except RecursionError:
            verdict = _Verdict([INVALID_LINE], ())
        for error in verdict.errors:
            if len(self.report.errors) < self._most_errors:
                self.report.errors.append(LineError(error.code, error.message, number, error.param))
            else:
                self.report.more_errors += 1
        for fault in verdict.faults:
            self.findings.setdefault(fault, Finding(fault, number)).lines += 1

    def _by_outline(self, line: bytes) -> _Verdict | None:
        """Return the verdict on a line whose outline has no errors; None: the whole line has to be judged."""
        found = outline(line) if self._is_utf8 else None
        if found is None:
            return None
        custom_id, without_texts = found
        if custom_id in self._across.custom_ids or not _is_usable(custom_id):
            return None
        verdict = self._outlines(without_texts)
        if verdict.errors:
            return None
        self._across.custom_ids[custom_id] = None
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
        """Return the fault of a request whose texts must mention JSON but do not."""
        fault = lacks_json_word(self._endpoint, body, self._provider) if self._provider else None
        return [fault] if fault else []


def _is_usable(custom_id: str) -> bool:
    return bool(custom_id.strip()) and len(custom_id) <= MAX_CUSTOM_ID_CHARACTERS


def _stricter(line: bytes, fields: Mapping[str, Json]) -> Iterator[LineError]:
    """Find what this program refuses although the Batch API may not: unusable ids and repeated keys."""
    custom_id = fields.get("custom_id")
    if isinstance(custom_id, str) and not _is_usable(custom_id):
        yield _BLANK_ID
    if fields and (key := duplicate_key(line)) is not None:
        shown = key[:MAX_KEY_CHARACTERS]
        yield LineError("duplicate_key", f"The key {shown!r} is repeated. Remove one of the two.")
