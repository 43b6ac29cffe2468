"""The results of one part, read once: counted, and written as the lines that the job's results are joined from.

The lines are kept until the job's round has finished. They can be rebuilt at any time from the provider's files.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from batchwright.core import files
from batchwright.core.bounds import longest_line
from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import ANSWER_UNREADABLE, any_result, decode_result
from batchwright.core.model import Part, Recipe, Result, ResultLine
from batchwright.core.usage import tokens_used
from batchwright.results.answers import reader, unpack
from batchwright.results.downloads import Found, ids_of
from batchwright.results.joining import LineWriter, index_of


@dataclass(frozen=True, slots=True)
class PartResults:
    """Totals of the results of a part.

    Attributes:
        ran, good: Requests with an answer of any status, and with a good one.
        input_tokens, output_tokens: Of all results; duplicates are paid twice.
        longest: Bytes of the longest line written.
        has_gaps: Whether some requests have no result.
    """

    ran: int
    good: int
    input_tokens: int
    output_tokens: int
    longest: int
    has_gaps: bool


class PartReader:
    """Reads the provider's files for a part. Of two results for one request, the one with an answer counts.

    Args:
        folder: The job's folder.
        part: The part whose results are read.
        recipe: The job's recipe.
        members: The rows of each request, if requests pack several.
        lines: Where to write the lines; their index goes beside them.
    """

    def __init__(
        self, folder: JobFolder, part: Part, recipe: Recipe, members: Mapping[str, Sequence[str]], lines: Path
    ) -> None:
        self.found = Found()
        self._part = part
        self._longest_line = longest_line(recipe)
        self._read, self._is_packed = reader(recipe), recipe.inputs_per_request > 1
        self._members = members
        self._ids = ids_of(folder.requests(part))
        self._open = set(self._ids)
        self._answered: set[str] = set()
        self._without: dict[str, Sequence[Result]] = {}
        self._ran: dict[str, bool] = {}
        _summary_of(lines).unlink(missing_ok=True)
        self._lines = LineWriter(lines, part.number, recipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._lines.close()

    def read(self, path: Path) -> bool:
        """Read one of the part's files, and return whether each of its lines is whole."""
        is_whole = True
        for data in files.lines(path, longest=self._longest_line):
            try:
                line = decode_result(data)
            except ValueError:
                is_whole, line = False, any_result(data)
            self.found.results += 1
            if line is None:
                self.found.unreadable += 1
            else:
                self._take(line)
        return is_whole

    def finish(self) -> PartResults:
        """Write the results without an answer, and record the rows without a result."""
        for custom_id, results in self._without.items():
            for result in results if custom_id not in self._answered else ():
                self._lines.add(result)
        for custom_id in self._open:
            for row in self._rows_of(custom_id):
                self._lines.add_missing(row)
        self._lines.close()
        are_all_due = self._part.batch_status == "completed" or self._part.output_file_id is not None
        self.found.missing = len(self._open) if are_all_due else 0
        return PartResults(
            ran=len(self._ran),
            good=sum(self._ran.values()),
            input_tokens=sum(into for into, _ in self.found.counts),
            output_tokens=sum(out for _, out in self.found.counts),
            longest=self._lines.longest,
            has_gaps=bool(self._open),
        )

    def _take(self, line: ResultLine) -> None:
        found, custom_id, status = self.found, line.custom_id, line.status_code
        is_good = status is not None and 200 <= status < 300
        found.good += is_good
        found.unreadable += line.error_code == ANSWER_UNREADABLE
        if any(tokens := tokens_used(line.body)):
            found.counts.append(tokens)
        if custom_id not in self._ids:
            found.unknown += 1
            return
        if status is not None:
            self._ran[custom_id] = is_good or self._ran.get(custom_id, False)
        found.twice += custom_id not in self._open
        self._open.discard(custom_id)
        if custom_id not in self._answered:
            self._write(custom_id, line)

    def _write(self, custom_id: str, line: ResultLine) -> None:
        results = list(unpack(line, self._rows_of(custom_id))) if self._is_packed else [self._read(line)]
        if all(result.text is None for result in results):
            self._without.setdefault(custom_id, results)
            return
        self._answered.add(custom_id)
        for result in results:
            self._lines.add(result)

    def _rows_of(self, custom_id: str) -> Sequence[str]:
        return self._members.get(custom_id, ()) if self._is_packed else (custom_id,)


def read_part(
    folder: JobFolder, part: Part, recipe: Recipe, members: Mapping[str, Sequence[str]], lines: Path
) -> PartResults:
    """Return the totals of a part and make sure its *lines* exist: kept ones, or rebuilt."""
    with suppress(FileNotFoundError):
        return msgspec.json.decode(_summary_of(lines).read_bytes(), type=PartResults)
    with PartReader(folder, part, recipe, members, lines) as read:
        for path in folder.downloads(part):
            if path.exists():
                read.read(path)
        return read.finish()


def keep(lines: Path, results: PartResults) -> None:
    """Keep the lines of a part until its round finishes."""
    for path in (lines, index_of(lines)):
        files.sync(path)
    files.write_whole(_summary_of(lines), msgspec.json.encode(results))


def remove(lines: Path) -> None:
    """Remove the lines of a part."""
    for path in (_summary_of(lines), index_of(lines), lines):
        path.unlink(missing_ok=True)


def _summary_of(lines: Path) -> Path:
    """Return the file whose existence means that the lines are complete."""
    return lines.with_name(f"{lines.name}.json")
