"""A disk that somebody else fills: each call says so, names the folder, and works when there is room again."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.endpoint import running_endpoint
from tests.support.openai_server import OpenAIServer
from tests.support.session import environment, in_memory, openai_environment
from tests.support.small_disk import fill, small_disk

pytestmark = pytest.mark.anyio

FULL = os.strerror(errno.ENOSPC)
ROWS = 8_000


def write_rows(tmp_path: Path, rows: int = ROWS) -> dict[str, Any]:
    """Write a source, and return the arguments of a draft over it."""
    lines = (f"id{number},{number} {'some words ' * 10}\n" for number in range(rows))
    (tmp_path / "work" / "rows.csv").write_text("id,text\n" + "".join(lines), encoding="utf-8")
    return {"source": "rows.csv", "prompt": "Label {{text}}", "id_column": "id", "model": "gpt-4o-mini"}


def write_requests(tmp_path: Path) -> None:
    """Write a ready-made batch file."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "word " * 20}]}
    line = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    lines = (json.dumps({"custom_id": f"r{number}", **line}) for number in range(ROWS))
    (tmp_path / "work" / "q.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("kilobytes", [600, 1_200, 2_000])
async def test_a_draft_on_a_full_disk_says_so_and_leaves_nothing(
    tmp_path: Path, server: OpenAIServer, kilobytes: int
) -> None:
    """Whether the copy, the frozen rows or the parts find no room: it is no fault of the server, and costs nothing."""
    env = openai_environment(tmp_path, server)
    draft = write_rows(tmp_path)
    write_requests(tmp_path)
    with small_disk(tmp_path / "data", kilobytes):
        async with in_memory(env) as session:
            told = [await session.error("create_batch_file", **draft)]
            if kilobytes < 2_000:
                told.append(await session.error("create_batch_file", batch_file="q.jsonl"))
                told.append(await session.error("inspect_data", source="rows.csv"))
            jobs = list((tmp_path / "data" / "jobs").iterdir())
            small = write_rows(tmp_path, 3)
            after = await session.call("create_batch_file", **small)

    assert [text for text in told if FULL not in text or str(tmp_path / "data") not in text] == []
    assert all("Free some space there" in text for text in told)
    assert jobs == []
    assert after["rows"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet", "r.xlsx"])
@pytest.mark.parametrize("is_data_full", [False, True])
async def test_results_that_find_no_room_name_the_folder_that_is_full(
    tmp_path: Path, name: str, *, is_data_full: bool
) -> None:
    """They are made in the server's folder and saved in the user's: either may be full."""
    full = tmp_path / ("data" if is_data_full else "work/out")
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)
        with small_disk(full, 8_000):
            async with in_memory(env) as session:
                draft = write_rows(tmp_path, 300)
                job_id = (await session.call("create_batch_file", **draft))["job_id"]
                await session.call("submit_job", job_id=job_id)
                await session.finished(job_id)
                filler = fill(full)
                told = [
                    await session.error("get_results", job_id=job_id, save_as=f"out/{name}"),
                    await session.error(
                        "query_results", job_id=job_id, sql="SELECT * FROM source", save_as=f"out/{name}"
                    ),
                ]
                left = [path for path in full.rglob("*") if path.suffix == ".part" or path.name == name]
                filler.unlink()
                saved = await session.call("get_results", job_id=job_id, save_as=f"out/{name}")

    place = str(full) if is_data_full else f"out/{name}"
    assert [text for text in told if FULL not in text or place not in text] == []
    assert left == []
    assert saved["rows"] == 300


async def test_a_job_meets_a_full_disk_at_each_step_and_goes_on_when_there_is_room(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The journal, the results and their joining are written to one disk; nothing is sent twice for it."""
    env = openai_environment(tmp_path, server)
    told: list[str] = []
    server.automatic = True
    with small_disk(tmp_path / "data", 8_000) as disk:
        async with in_memory(env) as session:
            draft = write_rows(tmp_path, 300)
            job_id = (await session.call("create_batch_file", **draft))["job_id"]
            filler = fill(disk)
            told.append(await session.error("submit_job", job_id=job_id, max_cost_usd=5))
            before = server.posts
            filler.unlink()
            await session.call("submit_job", job_id=job_id, max_cost_usd=5)
            filler = fill(disk)
            text, _ = await session.answer("check_job", job_id=job_id)
            told.append(text)
            filler.unlink()
            job = await session.finished(job_id)

    assert before == 0
    assert [text for text in told if str(tmp_path / "data") not in text or "fault of this server" in text] == []
    assert job["counts"] == {"answered": 300}
    assert server.posts == 1
