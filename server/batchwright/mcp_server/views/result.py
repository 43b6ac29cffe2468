"""What the tools answer about results: with the next useful call, and short whatever the results contain."""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from batchwright.core.calls import Advice, Blank, Call
from batchwright.core.model import Job, Json
from batchwright.core.untrusted import MARK, clean, one_line
from batchwright.mcp_server.views.cost import job_cost
from batchwright.mcp_server.views.fitting import fit_names, fit_rows
from batchwright.mcp_server.views.problem import in_phrases, remedy_call
from batchwright.mcp_server.views.view import Facts, Name, Next, Sentence, View, known, present

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchwright.jobs.results import Reply, ResultPage, ResultProfile
    from batchwright.results.causes.remedies import Explained
    from batchwright.results.summary import AnswerColumn, TruthComparison, Value, ValueRange

SHOWN_ROWS = 5
SHOWN_ANSWERS = 20
"""Rows that `get_results` and `query_results` show by default."""
SHOWN_CAUSES = 3
NAMES_BYTES = 400
LONE_CELL_BYTES = 8_000
LONE_ROW_BYTES = 3_000
FEW_ROWS_BYTES = 1_700
ROW_BYTES = 300
PROFILE_BYTES = 2_000
"""Limits in bytes of UTF-8: a single cell is nearly whole, a few rows are cut, and more rows get ROW_BYTES each."""
LABEL_CHARACTERS = 48
_MOST_ALIKE = (
    "SELECT b.row, list_cosine_similarity(a.embedding, b.embedding) AS likeness FROM results a, results b "
    "WHERE a.row = 1 AND b.row <> 1 ORDER BY 2 DESC LIMIT 10"
)


class ResultsView(View):
    """Joined results."""

    job_id: Name
    status: Name
    rows: int
    counts: Annotated[dict[str, int], Field(description="rows by outcome; they add up to rows")]
    answered_by: Sentence
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Sentence | None = None
    causes: list[Sentence] | None = None
    columns: list[Sentence]
    shown: Annotated[list[Facts], Field(description="some joined rows; row is the number in the source")]
    matching: Annotated[int | None, Field(description="rows with the requested outcome")] = None
    left_out: int | None = None
    saved_as: Sentence | None = None
    notes: list[Sentence] | None = None
    about: Sentence
    next: Next

    @classmethod
    def of(cls, page: "ResultPage", *, offset: int, problems: "Sequence[Explained]" = ()) -> Self:
        """Show a page of results, and why rows have no good answer."""
        job, matching = page.job, page.joined.matching
        rows = [cells for _, cells in page.joined.rows]
        fitted = fit_rows(
            rows, page.columns, room=_room(len(rows), len(page.columns), few=SHOWN_ROWS), first=page.answer_columns
        )
        number_name = _number_name(page)
        shown = [{number_name: number, **row} for (number, _), row in zip(page.joined.rows, fitted.rows, strict=True)]
        left_out = max(0, matching - offset - len(shown))
        return cls(
            job_id=job.id,
            status=job.status,
            rows=job.source.rows,
            counts={**present(job.counts)},
            answered_by=job.provider.sentence,
            input_tokens=job.input_tokens or None,
            output_tokens=job.output_tokens or None,
            cost=job_cost(job),
            causes=in_phrases(problems, SHOWN_CAUSES),
            columns=fit_names(page.columns, NAMES_BYTES),
            shown=shown,
            matching=matching if matching != job.source.rows else None,
            left_out=left_out or None,
            saved_as=page.saved_as,
            notes=[*_page_notes(page, offset, number_name), *_room_notes(fitted.columns_left_out)] or None,
            about=MARK,
            next=_after_page(page, offset + len(shown) if left_out and shown else None, problems),
        )


class QueryView(View):
    """Rows of SQL over results, or a profile of the answers."""

    job_id: Name
    status: Name
    rows: Annotated[int, Field(description="of the query; for a profile, of the source")]
    counts: dict[str, int] | None = None
    answered_by: Sentence
    columns: list[Sentence] | None = None
    shown: list[Facts] | None = None
    left_out: int | None = None
    answers: list[Facts] | None = None
    agreement: Facts | None = None
    saved_as: Sentence | None = None
    notes: list[Sentence] | None = None
    about: Sentence
    next: Next

    @classmethod
    def of(cls, reply: "Reply") -> Self:
        """Show the answer to a question."""
        return cls._of_profile(reply, reply.profile) if reply.profile else cls._of_rows(reply)

    @classmethod
    def _of_rows(cls, reply: "Reply") -> Self:
        job, rows = reply.job, reply.rows
        if rows is None:
            raise ValueError("A reply has rows or a profile.")
        fitted = fit_rows(rows.rows, rows.columns, room=_room(len(rows.rows), len(rows.columns), few=SHOWN_ANSWERS))
        left_out = rows.total - len(rows.rows)
        return cls(
            job_id=job.id,
            status=job.status,
            rows=rows.total,
            answered_by=job.provider.sentence,
            columns=fit_names(rows.columns, NAMES_BYTES),
            shown=[dict(row) for row in fitted.rows],
            left_out=left_out or None,
            saved_as=reply.saved_as,
            notes=[*_not_final(job, unread=reply.unread), *_room_notes(fitted.columns_left_out)] or None,
            about=MARK,
            next=_after_rows(reply, left_out),
        )

    @classmethod
    def _of_profile(cls, reply: "Reply", profile: "ResultProfile") -> Self:
        import msgspec

        job = reply.job
        answers: list[dict[str, Json]] = []
        room = PROFILE_BYTES
        for column in profile.columns:
            facts = _column_facts(column)
            room -= len(msgspec.json.encode(facts))
            if answers and room < 0:
                break
            answers.append(facts)
        left_out = len(profile.columns) - len(answers)
        notes = _not_final(job, unread=reply.unread)
        if left_out:
            notes.append(f"{left_out:,} more answer columns did not fit: query them with sql.")
        return cls(
            job_id=job.id,
            status=job.status,
            rows=job.source.rows,
            counts={**present(job.counts)},
            answered_by=job.provider.sentence,
            answers=answers,
            agreement=_agreement_facts(profile.agreement) if profile.agreement else None,
            notes=notes or None,
            about=MARK,
            next=_after_profile(reply, profile),
        )


def _room(rows: int, columns: int, *, few: int) -> int:
    """Return the bytes for rows: who asks for more than the *few* of the default gets more room."""
    if rows == 1:
        return LONE_CELL_BYTES if columns == 1 else LONE_ROW_BYTES
    return FEW_ROWS_BYTES if rows <= few else ROW_BYTES * rows


def _number_name(page: "ResultPage") -> str:
    """Return the name for a row's number beside its cells: one that no shown column has."""
    name = page.number_name
    shown = {one_line(column) for column in page.columns if column != name}
    while name in shown:
        name = f"answer_{name}"
    return name


def _page_notes(page: "ResultPage", offset: int, number_name: str) -> list[str]:
    job, matching = page.job, page.joined.matching
    notes = _not_final(job)
    if not job.counts["answered"]:
        notes.append("No row has a good answer: outcome and problem say why.")
    if offset and offset >= matching:
        notes.append(f"The offset is past the end: {matching:,} rows match.")
    if number_name != "row":
        notes.append(f"The data has a column named row, so {number_name} is the row's number in the source.")
    return notes


def _not_final(job: Job, *, unread: int = 0) -> list[str]:
    """Note that the results of an unfinished job may change; *unread* rows are done, but not read."""
    running = job.counts["running"]
    if job.ended_at is not None:
        return []
    if not running:
        return [f"Not final: the job is {job.status} again. These are the earlier results."]
    done = f" {unread:,} of them are done, and are read when their batch has finished." if unread else ""
    return [f"Not final: the job is {job.status}. {running:,} rows have no result yet.{done}"]


def _room_notes(columns_left_out: int) -> list[str]:
    if not columns_left_out:
        return []
    return [
        f"{columns_left_out:,} columns did not fit in the rows shown. Name the columns you need, or show fewer rows."
    ]


def _after_page(page: "ResultPage", next_offset: int | None, problems: "Sequence[Explained]") -> Advice:
    job = page.job
    if not job.counts["answered"] and job.ended_at is not None:
        return Call("retry_job", job_id=job.id), " once the cause is fixed; outcomes names the rows to retry"
    remedy = remedy_call(problems, job)
    questions = "query_results answers questions"
    if page.saved_as:
        cleans: Advice = (Call("delete_files", job_id=job.id), " cleans up") if job.provider.kind == "service" else ()
        return _listed(("tell the user where the results are",), (questions,), remedy, cleans)
    saves = Call("get_results", job_id=job.id, save_as="results.csv"), " writes all rows to a file"
    more = () if next_offset is None else (questions, f"; offset={next_offset} shows more")
    return _listed(saves, remedy, more)


def _listed(*steps: Advice) -> Advice:
    """Join steps with semicolons."""
    pieces = [piece for step in steps if step for piece in ("; ", *step)]
    return tuple(pieces[1:])


def _after_rows(reply: "Reply", left_out: int) -> Advice:
    job_id = reply.job.id
    if reply.job.ended_at is None:
        return Call("check_job", job_id=job_id, wait_seconds=45), ", then ask again"
    if reply.saved_as:
        return ("tell the user where the answer is",)
    if left_out:
        saved = Call("query_results", job_id=job_id, sql=Blank("as here"), save_as="answer.csv")
        return saved, " writes all rows to a file"
    return Call("query_results", job_id=job_id, sql="..."), " for the next question"


def _after_profile(reply: "Reply", profile: "ResultProfile") -> Advice:
    job = reply.job
    if job.ended_at is None:
        return (Call("check_job", job_id=job.id, wait_seconds=45),)
    if not job.counts["answered"]:
        return Call("get_results", job_id=job.id), " to see why no row has a good answer"
    if (found := profile.agreement) and found.pairs:
        truth, answer = _in_sql(found.truth), _in_sql(found.answer)
        sql, why = f"SELECT row, {truth}, {answer} FROM results WHERE {truth} <> {answer}", " shows the differences"
    elif profile.columns and profile.columns[0].is_vector:
        sql, why = _MOST_ALIKE, " finds the most similar rows"
    else:
        column = _in_sql(profile.columns[0].name) if profile.columns else "..."
        sql = f"SELECT {column}, count(*) FROM results WHERE outcome = 'answered' GROUP BY 1"
        why = " and similar queries go deeper"
    return Call("query_results", job_id=job.id, sql=sql), why


def _in_sql(name: str) -> str:
    """Write a column's name for SQL without quotes, which would clash with those of a call."""
    return f"results.{name}" if name.isidentifier() and name.isascii() else "..."


def _column_facts(column: "AnswerColumn") -> dict[str, Json]:
    numbers = _spread_facts(column.numbers, "mean") if column.numbers else {}
    lengths = _spread_facts(column.lengths, "median") if column.lengths else None
    return known(
        column=one_line(column.name),
        filled=column.filled,
        empty=column.empty or None,
        distinct=column.distinct,
        only_once=column.once if column.once and column.once < column.filled else None,
        top=_values(column.top) or None,
        top_left_out=column.left_out or None,
        alike_but_for_case_or_spaces=[_values(values) for values in column.alike] or None,
        **numbers,
        **{"numbers_each" if column.is_vector else "characters": lengths},
    )


def _spread_facts(spread: "ValueRange", middle: str) -> dict[str, float]:
    rounded = float(f"{spread.middle:.6g}") if abs(spread.middle) < 1e4 else round(spread.middle, 2)
    # Rounding must not move the middle outside its range.
    values = {"least": spread.least, middle: min(max(rounded, spread.least), spread.most), "most": spread.most}
    return {name: int(value) if float(value).is_integer() else value for name, value in values.items()}


def _values(values: "Sequence[Value]") -> list[list[Json]]:
    return [[clean(value.text, LABEL_CHARACTERS), value.rows] for value in values]


def _agreement_facts(found: "TruthComparison") -> dict[str, Json]:
    pairs = [
        {"truth": _label(pair.truth), "answered": _label(pair.answered), "rows": pair.rows} for pair in found.pairs
    ]
    labels = [
        known(
            label=_label(score.label),
            rows=score.rows,
            precision=_ratio(score.right, score.answered),
            recall=_ratio(score.right, score.rows),
        )
        for score in found.labels
    ]
    return known(
        truth=one_line(found.truth),
        answer=one_line(found.answer),
        compared=found.compared,
        agree=found.agree,
        accuracy=_ratio(found.agree, found.compared),
        no_good_answer=found.not_answered or None,
        no_truth=found.without_truth or None,
        disagree=pairs or None,
        other_pairs=found.pairs_left_out or None,
        labels=labels or None,
        other_labels=found.labels_left_out or None,
        how="ignoring case and surrounding spaces, numbers by value; rows without a good answer or truth count apart",
    )


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _label(text: str) -> str:
    return clean(text, LABEL_CHARACTERS).strip() or "(empty)"
