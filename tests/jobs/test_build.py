"""A source and a recipe to a draft: every row is one request, in order, hashed, and nothing else is touched."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.checks.schema import strict
from batchwright.core.crash_points import pass_by
from batchwright.core.errors import InvalidInput
from batchwright.core.job_folder import JobFolder
from batchwright.core.model import Endpoint, Limits, ProviderInfo, Recipe
from batchwright.core.progress import Progress
from batchwright.jobs.batch_file import adopt_batch_file, batch_file_recipe
from batchwright.jobs.build import Draft, DraftPlan, draft
from batchwright.jobs.preflight import DraftWarning, WarningKind, check_body, check_recipe
from batchwright.jobs.retry import draft_round
from batchwright.jobs.retry_request import RetryRequest
from batchwright.tables.frozen import frozen_rows
from batchwright.tables.rows import write_rows
from batchwright.tables.source import one_file
from tests.support.values import OPENAI

RESPONSES: Endpoint = "/v1/responses"
CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def plan(
    source: Path, *, prompt: str = "Label {{text}}", id_column: str | None = None, limits: Limits | None = None
) -> DraftPlan:
    """Plan a draft of *source*, in an empty folder beside it."""
    folder = source.parent / "job_a" if source.parent.name != "job_a" else source.parent
    folder.mkdir(exist_ok=True)
    return DraftPlan(
        created_at=CREATED,
        folder=JobFolder(folder),
        origin=one_file(source, source.name),
        id_column=id_column,
        recipe=Recipe("/v1/chat/completions", "m", prompt),
        provider=ProviderInfo("endpoint", "localhost", "m"),
        limits=limits or Limits(),
        on_point=pass_by,
    )


def written(path: Path, content: str) -> Path:
    """Write a file and give its path."""
    path.write_bytes(content.encode())
    return path


def adopted(planned: DraftPlan, *, models: Sequence[str] = ("m",)) -> Draft:
    """Adopt the batch file, at a provider that has *models*."""
    copy = planned.source.with_suffix(".copy")
    copy.write_bytes(planned.source.read_bytes())
    return adopt_batch_file(planned, copy, is_model_known=models.__contains__)


def contents(folder: JobFolder, found: Draft) -> list[bytes]:
    """Give the content of each part."""
    return [folder.requests(part).read_bytes() for part in found.job.parts]


def prompts(content: bytes) -> list[tuple[str, str]]:
    """Give custom_id and prompt of each request of a part."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in content.splitlines()]
    return [(line["custom_id"], line["body"]["messages"][-1]["content"]) for line in lines]


def line(custom_id: str, model: str = "m", **body: object) -> str:
    """Give a line of a ready-made batch file."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n"


def test_each_row_is_one_request_in_order(tmp_path: Path) -> None:
    """The first request is what the user is shown before anything is spent, so it must be the real one."""
    planned = plan(written(tmp_path / "t.csv", "sku,text\n007,red\nx-1,blue\n"), id_column="sku")

    found = draft(planned)

    assert prompts(contents(planned.folder, found)[0]) == [("007", "Label red"), ("x-1", "Label blue")]
    assert found.first_request.custom_id == "007"
    assert found.first_request.body == {"model": "m", "messages": [{"role": "user", "content": "Label red"}]}
    assert found.warnings == []


def test_a_draft_knows_its_source_recipe_provider_and_time(tmp_path: Path) -> None:
    """They are frozen with it: `submit_job` cannot change any of them."""
    planned = plan(written(tmp_path / "t.csv", "sku,text\n007,red\n"), id_column="sku")

    job = draft(planned).job

    assert (job.id, job.created_at, job.recipe, job.provider) == ("job_a", CREATED, planned.recipe, planned.provider)
    assert (job.source.name, job.source.kind, job.source.columns) == ("t.csv", "csv", ("sku", "text"))
    assert (job.source.rows, job.source.id_column, job.status) == (1, "sku", "draft")


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=12),
    max_requests=st.integers(1, 5),
    max_bytes=st.integers(300, 900),
)
def test_parts_put_end_to_end_are_all_rows_and_each_is_within_the_limits_with_its_hash(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], max_requests: int, max_bytes: int
) -> None:
    """Whatever the limits, no row is lost or doubled, and a part that is changed on disk is noticed."""
    folder = JobFolder(tmp_path_factory.mktemp("draft") / "job_a")
    folder.path.mkdir()
    write_rows([{"text": text} for text in texts], folder.inline_rows)
    limits = Limits(max_requests=max_requests, max_bytes=max_bytes)

    found = draft(plan(folder.inline_rows, limits=limits))

    parts = contents(folder, found)
    expected = [(f"row-{number}", f"Label {text}") for number, text in enumerate(texts, 1)]
    assert [request for content in parts for request in prompts(content)] == expected
    for number, (part, content) in enumerate(zip(found.job.parts, parts, strict=True), 1):
        assert (part.job_id, part.number, part.state) == ("job_a", number, "built")
        assert part.sha256 == hashlib.sha256(content).hexdigest()
        assert part.size_bytes == len(content) <= max_bytes
        assert part.requests == content.count(b"\n") <= max_requests


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(texts=st.lists(st.text("ab", max_size=2), min_size=1, max_size=9), max_requests=st.integers(1, 5))
def test_the_hash_of_a_job_does_not_depend_on_how_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], max_requests: int
) -> None:
    """The same questions are known again when the limits have changed; other ones never pass for them."""

    def hashed(rows: list[str], limits: Limits) -> str:
        folder = JobFolder(tmp_path_factory.mktemp("draft") / "job_a")
        folder.path.mkdir()
        write_rows([{"text": text} for text in rows], folder.inline_rows)
        found = draft(plan(folder.inline_rows, limits=limits))
        if limits == Limits():
            assert found.job.sha256 == hashlib.sha256(b"".join(contents(folder, found))).hexdigest()
        return found.job.sha256

    whole = hashed(texts, Limits())
    assert hashed(texts, Limits(max_requests=max_requests)) == whole
    assert hashed([*texts, "c"], Limits()) != whole


def test_a_part_is_filled_before_the_next_is_begun(tmp_path: Path) -> None:
    """Each part is a batch to wait for, so there are no more than needed."""
    rows = "".join(f"t{number}\n" for number in range(7))

    found = draft(plan(written(tmp_path / "t.csv", "text\n" + rows), limits=Limits(max_requests=3)))

    assert [part.requests for part in found.job.parts] == [3, 3, 1]
    assert [part.number for part in found.job.parts] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "prompt", "message"),
    [
        pytest.param("t.csv", f"text\nshort\n{'x' * 500}\n", "Label {{text}}", "row 2", id="larger than a batch"),
        pytest.param("t.csv", "text\n1\n2\nx\n", "{{ text|int }}", r"^Row \d: ", id="filter"),
        pytest.param("t.jsonl", '{"text":[1]}\n{"text":[]}\n', "{{ text[0].name.x }}", r"^Row \d: ", id="look-up"),
        pytest.param("t.csv", "id,body\n1,x\n", "{{text}}", r"'text'.*Columns: 'id', 'body'\.", id="no such column"),
        pytest.param("t.jsonl", '{"text":1}\n{"text":NaN}\n', "{{text}}", "2", id="not a number of JSON"),
    ],
)
def test_rows_that_cannot_be_sent_are_refused_by_number_or_column(
    tmp_path: Path, name: str, content: str, prompt: str, message: str
) -> None:
    """Of 40,000 rows the user must know which one; the provider would refuse the batch with all of them."""
    planned = plan(written(tmp_path / name, content), prompt=prompt, limits=Limits(max_bytes=400))

    with pytest.raises(InvalidInput, match=message):
        draft(planned)


def test_numbers_are_filled_in_digit_by_digit(tmp_path: Path) -> None:
    """`5` must not become `5.0`, nor the number of an order another order's."""
    numbers = ["5", "-1", "0.1", "9007199254740993", "18446744073709551615", "12345678901234567890123"]
    rows = "".join(f'{{"text":{number}}}\n' for number in numbers)
    planned = plan(written(tmp_path / "t.jsonl", rows))

    found = draft(planned)

    assert [prompt for _, prompt in prompts(contents(planned.folder, found)[0])] == [f"Label {n}" for n in numbers]


@pytest.mark.parametrize(
    ("content", "prompt", "kind", "text"),
    [
        (
            *('text,other\nx,1\n,2\n"",3\n', "Label {{text}}", "empty_rows"),
            "2 rows are empty in text: their requests hold only the prompt's fixed text.",
        ),
        ("title,text\nx,\n,y\n", "{{title}} {{text}}", None, ""),
        ("text\nx\n", "Label it", "same_for_all", "Every row gets the same request: the prompt names no column."),
    ],
    ids=["empty rows", "one of two columns", "no column"],
)
def test_requests_that_ask_too_little_are_warned_of(
    tmp_path: Path, content: str, prompt: str, kind: WarningKind | None, text: str
) -> None:
    """They cost as much as the others, and their answers are made up."""
    found = draft(plan(written(tmp_path / "t.csv", content), prompt=prompt))

    assert found.warnings == ([DraftWarning(kind, text)] if kind else [])
    assert found.job.source.rows == content.count("\n") - 1


def test_progress_is_told_up_to_all_rows(tmp_path: Path) -> None:
    """Somebody waits, and should see that it moves."""
    told: list[tuple[float, str]] = []
    planned = plan(written(tmp_path / "t.csv", "text\n" + "x\n" * 1_234))

    draft(planned, Progress.to(lambda percent, doing: told.append((percent, doing))))

    percents = [percent for percent, _ in told]
    assert percents == sorted(set(percents))
    assert told[0] == (0, "Reading t.csv")
    assert told[-1] == (100, "Writing requests: 1,234 of 1,234 rows")


def test_nothing_but_the_job_s_folder_is_written(tmp_path: Path) -> None:
    """The user's file is only read, and no copy is left beside it."""
    source = written(tmp_path / "t.csv", "text\nx\ny\n")
    planned = plan(source, limits=Limits(max_requests=1))

    found = draft(planned)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["job_a", "t.csv"]
    assert source.read_text() == "text\nx\ny\n"
    assert set(planned.folder.path.iterdir()) == {planned.folder.frozen, *map(planned.folder.requests, found.job.parts)}


def test_rows_that_were_given_inline_are_called_so(tmp_path: Path) -> None:
    """The user knows of no file."""
    folder = JobFolder(tmp_path / "job_a")
    folder.path.mkdir()
    write_rows([{"id": 1, "text": "x"}], folder.inline_rows)

    planned = plan(folder.inline_rows, id_column="id")

    found = draft(replace(planned, origin=replace(planned.origin, kind="rows")))

    assert found.job.source.kind == "rows"
    assert prompts(contents(folder, found)[0]) == [("1", "Label x")]


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_ready_made_batch_file_is_adopted_byte_for_byte(tmp_path: Path, end: str) -> None:
    """Spaces, order of keys and escapes are the user's: what was tested elsewhere is what is sent."""
    odd = '{ "body":{"messages":[],"seed":12345678901234567890123,"x":1.50,"model":"m"},"url":"/v1/chat/completions", '
    content = line("a") + odd + '"method":"POST","custom_id":"\\u00e4" }\n' + line("c\u2028d").rstrip("\n") + end
    planned = plan(written(tmp_path / "b.jsonl", content))

    found = adopted(planned)

    assert b"".join(contents(planned.folder, found)) == content.removesuffix("\n").encode() + b"\n"
    assert found.job.parts[0].sha256 == hashlib.sha256(contents(planned.folder, found)[0]).hexdigest()
    assert found.first_request.custom_id == "a"


def test_an_adopted_file_gives_the_recipe_and_freezes_its_ids(tmp_path: Path) -> None:
    """The file says everything itself; its results are joined by its own ids, in its own order."""
    planned = plan(written(tmp_path / "b.jsonl", line("b") + line("007") + line("2024-01-01")))

    found = adopted(planned)

    assert found.job.recipe == Recipe("/v1/chat/completions", "m")
    assert (found.job.source.kind, found.job.source.rows) == ("batch", 3)
    assert [custom_id for custom_id, _ in frozen_rows(planned.folder.frozen, ["custom_id"])] == [
        "b",
        "007",
        "2024-01-01",
    ]
    assert set(planned.folder.path.iterdir()) == {planned.folder.frozen, planned.folder.requests(found.job.parts[0])}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.jsonl", "job_a"]


def test_an_adopted_file_is_split_into_parts_within_the_limits(tmp_path: Path) -> None:
    """A file too large for one batch is none too large for a job."""
    planned = plan(
        written(tmp_path / "b.jsonl", "".join(line(str(n)) for n in range(5))), limits=Limits(max_requests=2)
    )

    found = adopted(planned)

    assert [part.requests for part in found.job.parts] == [2, 2, 1]
    assert b"".join(contents(planned.folder, found)) == planned.source.read_bytes()


def test_the_inputs_of_an_adopted_embedding_request_count_each(tmp_path: Path) -> None:
    """A batch may hold so many texts, however they are spread over its lines."""
    lines = [
        json.dumps(
            {"custom_id": str(n), "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": texts}}
        )
        for n, texts in enumerate([["a", "b", "c"], ["d", "e"], "f"])
    ]
    planned = plan(written(tmp_path / "b.jsonl", "\n".join(lines)), limits=Limits(max_inputs=3))

    found = adopted(planned)

    assert found.job.recipe.endpoint == "/v1/embeddings"
    assert [part.requests for part in found.job.parts] == [1, 2]


def test_a_batch_file_that_would_be_refused_is_refused_here_with_its_first_lines(tmp_path: Path) -> None:
    """Found before the upload, it costs no day of waiting."""
    content = line("a") + "{\n" + line("a") + line("b", model="other") + line("c", stream=True) + line("d", "strange")
    planned = plan(written(tmp_path / "b.jsonl", content))

    with pytest.raises(InvalidInput) as caught:
        adopted(planned, models=("m", "other"))

    sentence = str(caught.value)
    faults = ["line 2: invalid_json_line", "line 3: duplicate_custom_id", "line 4: mismatched_model"]
    faults += ["line 5: streaming_unsupported", "line 6: model_not_found"]
    assert [sentence.index(fault) for fault in faults] == sorted(sentence.index(fault) for fault in faults)
    assert list(planned.folder.path.iterdir()) == []


def test_only_the_first_faults_of_a_batch_file_are_listed_and_the_sentence_says_that_there_are_more(
    tmp_path: Path,
) -> None:
    """A file of 50,000 faults must not fill the conversation."""
    planned = plan(written(tmp_path / "b.jsonl", line("a") * 50))

    with pytest.raises(InvalidInput) as caught:
        adopted(planned)

    assert str(caught.value).count("duplicate_custom_id") == 5
    assert str(caught.value).endswith(" and 44 more. Fix these lines.")


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("\n \n", "is empty", id="blank"),
        pytest.param("{\n", "Line 1", id="broken"),
        pytest.param('[{"custom_id":"a"}]\n', "Line 1", id="array"),
        pytest.param('{"text":"x"}\n', "pass the file as source", id="rows of data"),
        pytest.param(
            line("a").replace("/v1/chat/completions", "/v1/moderations"), "/v1/chat/completions", id="endpoint"
        ),
    ],
)
def test_a_file_that_is_no_batch_file_is_refused_with_the_reason(tmp_path: Path, content: str, fact: str) -> None:
    """Most often it is a file of rows, given by the wrong argument."""
    path = written(tmp_path / "b.jsonl", content)

    with pytest.raises(InvalidInput, match=fact):
        batch_file_recipe(path, "b.jsonl")
    with pytest.raises(InvalidInput, match=fact):
        adopted(plan(path))


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        *((line(custom_id), "custom_id") for custom_id in ("", "  ", "x" * 65)),
        (line("b").replace('"model"', '"seed": 1e999, "model"'), "line 2: invalid_value"),
    ],
    ids=["empty", "blank", "long", "number"],
)
def test_a_line_that_cannot_be_used_is_refused_by_its_number_with_advice_that_fits(
    tmp_path: Path, second: str, fault: str
) -> None:
    """A batch file has no other id column to name: the line has to be fixed."""
    planned = plan(written(tmp_path / "b.jsonl", line("a") + second))

    with pytest.raises(InvalidInput) as caught:
        adopted(planned)

    assert "line 2" in str(caught.value)
    assert fault in str(caught.value)
    assert "another id column" not in str(caught.value)


def at_openai(planned: DraftPlan, **parameters: Any) -> DraftPlan:
    """Give the plan with OpenAI as its provider, and other parameters."""
    recipe = replace(planned.recipe, model="gpt-5-mini", parameters=parameters)
    return replace(planned, provider=OPENAI, recipe=recipe)


def test_a_recipe_that_fails_every_request_is_refused_before_a_row_is_filled_in(tmp_path: Path) -> None:
    """One sentence now, or 40,000 refusals tomorrow."""
    planned = at_openai(plan(written(tmp_path / "t.csv", "text\nx\n")), max_tokens=9)

    with pytest.raises(InvalidInput, match="Use 'max_completion_tokens' instead"):
        draft(planned)

    assert list(planned.folder.path.glob("part-*")) == []


def test_a_body_in_json_mode_without_the_word_json_is_refused() -> None:
    """A retry can change a ready-made request into one."""
    body: dict[str, Any] = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}
    body["response_format"] = {"type": "json_object"}

    with pytest.raises(InvalidInput, match="Ask for JSON in the prompt"):
        check_body("/v1/chat/completions", body, OPENAI)
    assert check_body("/v1/chat/completions", body, ProviderInfo("endpoint", "localhost", "gpt-5")) == []


@pytest.mark.parametrize("is_ready_made", [True, False])
def test_a_retry_is_not_mended_into_what_fails_every_request(tmp_path: Path, *, is_ready_made: bool) -> None:
    """A retry is where the wrong name is most likely to be tried."""
    wanted = RetryRequest(parameters={"max_tokens": 9})
    if is_ready_made:
        planned = plan(written(tmp_path / "b.jsonl", line("row-1", "gpt-5-mini")))
        job = adopted(planned, models=["gpt-5-mini"]).job
    else:
        planned = plan(written(tmp_path / "t.csv", "text\nx\n"))
        job = draft(planned).job
    recipe = replace(wanted.recipe(job.recipe), model="gpt-5-mini")
    parts = replace(planned.parts, provider=OPENAI, recipe=recipe, first_number=2, round=2)

    with pytest.raises(InvalidInput, match="Use 'max_completion_tokens' instead"):
        draft_round(job, parts, {"row-1": "failed"}, wanted, lambda _done, _rows: None)


def test_the_strict_schema_that_a_recipe_makes_is_one_that_strict_mode_takes(tmp_path: Path) -> None:
    """The check judges what the program itself writes by the same rules."""
    label = {"type": ["string", "null"], "enum": ["a", "b", None], "default": "a"}
    wanted = strict({"properties": {"label": label, "tags": {"type": "array", "items": {"type": "string"}}}})
    planned = at_openai(plan(written(tmp_path / "t.csv", "text\nx\n")))

    for endpoint in ("/v1/chat/completions", RESPONSES):
        assert check_recipe(replace(planned.recipe, endpoint=endpoint, output_schema=wanted), OPENAI) == []


def test_a_byte_order_mark_and_blank_lines_are_left_out_of_what_is_sent(tmp_path: Path) -> None:
    """They harm nobody here, and some servers refuse them."""
    planned = plan(written(tmp_path / "b.jsonl", "\ufeff" + line("a") + "\n" + line("b").replace("\n", "\r\n")))

    assert contents(planned.folder, adopted(planned)) == [(line("a") + line("b")).encode()]
