"""The results of a part are read once, and lie ready to be joined until the round ends."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import encode_request, encode_result
from batchwright.core.model import Part, Recipe, Request, Result, ResultLine
from batchwright.core.problem import Problem
from batchwright.results.joining import PartLines, index_of, join_results
from batchwright.results.part_results import PartReader, PartResults, keep, read_part, remove
from batchwright.results.table import ResultTable
from batchwright.tables.frozen import freeze
from batchwright.tables.rows import write_rows
from batchwright.tables.source import one_file

ROWS = 6
CHAT = Recipe("/v1/chat/completions", "m", "{{n}}")
KINDS = ("answer", "refused", "never_ran")
LINES = st.lists(st.tuples(st.integers(0, ROWS + 1), st.sampled_from(KINDS)), max_size=12)
"""Of which row, some of them unknown, and what became of it."""


def a_part(number: int) -> Part:
    """Return a part whose batch has ended."""
    return Part("job_a", number, "ended", "", 0, ROWS, batch_status="completed", output_file_id="f", completed=1)


def line(row: int, kind: str, said: str) -> bytes:
    """Write a result; an answer says where it stands."""
    choice = {"message": {"content": said}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 2, "completion_tokens": 1}
    custom_id = f"row-{row}"
    result = {
        "answer": ResultLine(custom_id, 200, {"choices": [choice], "usage": usage}),
        "refused": ResultLine(custom_id, 400, {"error": {"message": said}}),
        "never_ran": ResultLine(custom_id, error_code="batch_expired", error_message=said),
    }[kind]
    return encode_result(result, id="b", request_id="q")


def write(folder: JobFolder, part: Part, output: Sequence[bytes], errors: Sequence[bytes] = ()) -> None:
    """Write the requests of rows 1 to 6 as those of a part, and what the provider answered."""
    requests = (encode_request(Request(f"row-{row}", {"model": "m"}), CHAT.endpoint) for row in range(1, ROWS + 1))
    folder.requests(part).write_bytes(b"".join(requests))
    for path, lines in zip(folder.downloads(part), (output, errors), strict=True):
        if lines:
            path.write_bytes(b"".join(lines))


def missing(custom_id: str) -> Result:
    """Say of a row that it has no result."""
    return Result(custom_id, "never_ran", problem=Problem.found("lost", "nothing came"))


def joined(folder: JobFolder, parts: Mapping[Part, PartResults]) -> dict[int, tuple[str, str | None]]:
    """Join what was read of parts to six rows, and give the outcome of each and what its answer or problem says."""
    write_rows([{"n": row} for row in range(1, ROWS + 1)], folder.inline_rows)
    source = freeze(one_file(folder.inline_rows, "rows"), folder.frozen, id_column=None).source
    lines = [PartLines(part.number, folder.lines(part), read.longest, missing) for part, read in parts.items()]
    join_results(lines, folder.results, CHAT, folder.frozen)
    table = ResultTable(folder.frozen, folder.results, source.columns, CHAT, ended=True)
    found = table.rows(outcome=None, offset=0, limit=ROWS).rows
    return {row: (cells["outcome"], cells["answer"] or cells["problem"]) for row, cells in found}


@settings(max_examples=40, deadline=None)
@given(rounds=st.lists(st.tuples(LINES, LINES), min_size=1, max_size=2))
def test_of_all_results_of_a_row_the_newest_answer_counts(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[list[tuple[int, str]], list[tuple[int, str]]]]
) -> None:
    """A retry may fail where an earlier round answered, and what ran may have been paid for."""
    folder = JobFolder(tmp_path_factory.mktemp("job"))
    parts: dict[Part, PartResults] = {}
    best: dict[int, tuple[int, int, str, str]] = {}
    for number, (output, errors) in enumerate(rounds, 1):
        part, given = a_part(number), [*output, *errors]
        said = [f"{number} {place}" for place in range(len(given))]
        lines = [line(row, kind, words) for (row, kind), words in zip(given, said, strict=True)]
        write(folder, part, lines[: len(output)], lines[len(output) :])
        parts[part] = read_part(folder, part, CHAT, {}, folder.lines(part))
        of_rows: dict[int, tuple[str, str]] = {}
        for (row, kind), words in zip(given, said, strict=True):
            if row not in of_rows or (kind == "answer" != of_rows[row][0]):
                of_rows[row] = kind, words
        for row in range(1, ROWS + 1):
            kind, words = of_rows.get(row, ("nothing", "nothing came"))
            worth = {"answer": 2, "refused": 1}.get(kind, 0)
            best[row] = max(best.get(row, (-1, 0, "", "")), (worth, number, kind, words))

    found = joined(folder, parts)

    outcomes = {"answer": "answered", "refused": "failed", "never_ran": "expired", "nothing": "never_ran"}
    assert {row: outcome for row, (outcome, _) in found.items()} == {
        row: outcomes[kind] for row, (_, _, kind, _) in best.items()
    }
    for row, (_, _, kind, words) in best.items():
        if kind in {"answer", "nothing"}:
            assert found[row][1] == words


@given(output=LINES, errors=LINES, damaged=st.integers(0, 2))
def test_what_came_is_counted_as_by_hand(
    tmp_path_factory: pytest.TempPathFactory,
    output: list[tuple[int, str]],
    errors: list[tuple[int, str]],
    damaged: int,
) -> None:
    """From these counts follow what a part did cost, and whether it is fetched again."""
    folder, part = JobFolder(tmp_path_factory.mktemp("job")), a_part(1)
    whole = [line(row, kind, "ok") for row, kind in output]
    write(folder, part, [*whole, *[b'{"custom_id": "r\n'] * damaged], [line(row, kind, "no") for row, kind in errors])
    with PartReader(folder, part, CHAT, {}, folder.lines(part)) as reader:
        are_whole = [reader.read(path) for path in folder.downloads(part) if path.exists()]
        read = reader.finish()

    found, given = reader.found, [*output, *errors]
    of_ours = Counter(row for row, _ in given if 1 <= row <= ROWS)
    good = [row for row, kind in given if kind == "answer"]
    ran = {row for row, kind in given if kind != "never_ran" and row in of_ours}
    assert all(are_whole) == (not damaged)
    assert (found.results, found.unreadable) == (len(given) + damaged, damaged)
    assert (found.good, found.counts) == (len(good), [(2, 1)] * len(good))
    assert (found.unknown, found.twice) == (len(given) - of_ours.total(), of_ours.total() - len(of_ours))
    assert found.missing == ROWS - len(of_ours)
    assert (read.ran, read.good) == (len(ran), len({*good} & of_ours.keys()))
    assert (read.input_tokens, read.output_tokens) == (2 * len(good), len(good))


def test_what_was_kept_is_not_read_again(tmp_path: Path) -> None:
    """A large job is read while its parts end, and not once more at its end."""
    folder, part = JobFolder(tmp_path), a_part(1)
    write(folder, part, [line(1, "answer", "yes"), line(2, "refused", "no")])
    lines = folder.lines(part)
    first = read_part(folder, part, CHAT, {}, lines)
    keep(lines, first)
    for path in (folder.requests(part), *folder.downloads(part)):
        path.unlink(missing_ok=True)

    again = read_part(folder, part, CHAT, {}, lines)

    assert again == first
    assert joined(folder, {part: again})[1] == ("answered", "yes")


def test_lines_that_a_dying_process_left_are_written_anew(tmp_path: Path) -> None:
    """Half of them would be half of the answers."""
    folder, part = JobFolder(tmp_path), a_part(1)
    write(folder, part, [line(row, "answer", f"{row}") for row in range(1, ROWS + 1)])
    lines = folder.lines(part)
    keep(lines, read_part(folder, part, CHAT, {}, lines))
    with PartReader(folder, part, CHAT, {}, lines):
        pass
    assert lines.read_bytes() == b""

    found = joined(folder, {part: read_part(folder, part, CHAT, {}, lines)})

    assert found == {row: ("answered", f"{row}") for row in range(1, ROWS + 1)}


def test_what_is_removed_leaves_nothing(tmp_path: Path) -> None:
    """The answers are in the results, and in what the provider wrote."""
    folder, part = JobFolder(tmp_path), a_part(1)
    write(folder, part, [line(1, "answer", "yes")])
    lines = folder.lines(part)
    before = set(tmp_path.iterdir())
    keep(lines, read_part(folder, part, CHAT, {}, lines))
    assert {lines, index_of(lines)} < set(tmp_path.iterdir()) - before

    remove(lines)

    assert set(tmp_path.iterdir()) == before


def test_the_lines_of_more_parts_than_may_be_open_are_joined(tmp_path: Path) -> None:
    """A job of a small limit has a thousand parts, and a process may open as many files."""
    folder = JobFolder(tmp_path)
    parts = [a_part(number) for number in range(1, 101)]
    read: dict[Part, PartResults] = {}
    for part in parts:
        write(folder, part, [line(1 + part.number % ROWS, "answer", f"{part.number}")])
        read[part] = read_part(folder, part, CHAT, {}, folder.lines(part))

    found = joined(folder, read)

    assert found == {row: ("answered", str(max(n for n in range(101) if 1 + n % ROWS == row))) for row in found}


def test_a_line_is_json_of_the_result_alone(tmp_path: Path) -> None:
    """What is written between is read by DuckDB, and by nobody else."""
    folder, part = JobFolder(tmp_path), a_part(1)
    write(folder, part, [line(1, "answer", "yes")])

    read_part(folder, part, CHAT, {}, folder.lines(part))

    written = json.loads(folder.lines(part).read_bytes())
    assert written == {"outcome": "answered", "text": "yes"}
