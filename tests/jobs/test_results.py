"""Results through the tools: chosen columns, files for Excel, and what the job took."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import python_calamine

from tests.support.endpoint import running_endpoint
from tests.support.openai_server import running_openai
from tests.support.session import MODES, Mode, Session, environment, in_memory, openai_environment

pytestmark = pytest.mark.anyio

SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"type": "string"},
        "score": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}
ROWS = [
    {"id": f"r{number}", "text": f"=1+{number}", "long": "y" * (40_000 if number == 2 else 5)} for number in range(3)
]


async def labelled(session: Session, **changes: Any) -> str:
    """Run a job, and give its id."""
    draft: dict[str, Any] = {
        "rows": ROWS,
        "prompt": "{{text}}",
        "model": "m",
        "id_column": "id",
        "output_schema": SCHEMA,
    }
    job_id = (await session.call("create_batch_file", **draft | changes))["job_id"]
    await session.call("submit_job", job_id=job_id)
    await session.finished(job_id)
    return job_id


def answer(text: str) -> str:
    """Answer with the text itself, a number and a list."""
    return json.dumps({"label": text, "score": 0.5, "tags": ["a"]})


@pytest.mark.parametrize("mode", MODES)
async def test_results_are_saved_for_excel_with_the_columns_that_are_chosen(tmp_path: Path, mode: Mode) -> None:
    """A colleague opens them with a double click: types, no formula, no column that nobody asked for."""
    columns = ["custom_id", "text", "label", "score", "tags"]
    async with (
        running_endpoint(answer=answer) as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url), mode) as session,
    ):
        job_id = await labelled(session)
        found = await session.call("get_results", job_id=job_id, save_as="out.xlsx", columns=columns)
        refused = await session.error("get_results", job_id=job_id, save_as="all.xlsx")
        unknown = await session.error("get_results", job_id=job_id, columns=["labels"])

    path = tmp_path / "work" / "out.xlsx"
    book = python_calamine.load_workbook(str(path))  # pyright: ignore[reportUnknownMemberType]  # not generic there
    assert book.get_sheet_by_index(0).to_python() == [
        columns,
        *([f"r{number}", f"=1+{number}", f"=1+{number}", 0.5, '["a"]'] for number in range(3)),
    ]
    assert b"<f>" not in zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml")
    assert found["columns"] == columns
    assert found["shown"][0] == {
        "row": 1,
        "custom_id": "r0",
        "text": "=1+0",
        "label": "=1+0",
        "score": 0.5,
        "tags": ["a"],
    }
    assert "Row 3 has 40,000 characters in column 'long'" in refused
    assert "There is no column 'labels'. Columns: 'id', 'text', 'long', 'label', 'score', 'tags'," in unknown
    assert [entry.name for entry in path.parent.iterdir()] == ["out.xlsx"], "whole, or not at all"


async def test_results_say_what_the_job_took(tmp_path: Path) -> None:
    """The user asks what it cost when it is over, not when it was drafted."""
    async with (
        running_openai(automatic=True, answer=lambda _, body: answer(body["messages"][-1]["content"])) as server,
        in_memory(openai_environment(tmp_path, server)) as session,
    ):
        job_id = await labelled(session, model="gpt-5-mini", parameters={"max_completion_tokens": 100})
        job = await session.call("check_job", job_id=job_id)
        found = await session.call("get_results", job_id=job_id)

    assert {key: found[key] for key in ("input_tokens", "output_tokens", "cost")} == {
        key: job[key] for key in ("input_tokens", "output_tokens", "cost")
    }
    assert found["cost"].startswith("$0.0")


async def test_one_cell_is_read_nearly_whole(tmp_path: Path) -> None:
    """Where the assistant asks for one answer, it wants to read it."""
    async with (
        running_endpoint(answer=lambda _: "word " * 1_200) as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url)) as session,
    ):
        job_id = await labelled(session, output_schema={})
        one = await session.call("get_results", job_id=job_id, columns=["answer"], limit=1)
        all_of_them = await session.call("get_results", job_id=job_id)

    assert one["shown"] == [{"row": 1, "answer": "word " * 1_200}]
    assert all(len(row["answer"]) < 1_000 for row in all_of_them["shown"])
    assert [row["text"] for row in all_of_them["shown"]] == ["=1+0", "=1+1", "=1+2"]
