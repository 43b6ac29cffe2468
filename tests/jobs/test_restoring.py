"""What is taken up at a start, or from an account that others share: no folder but a job's own, and nothing twice."""

from pathlib import Path

import pytest
from openai import AsyncOpenAI

from batchwright.core.job_folder import JobFolder
from tests.support.five_rows import DRAFT, only_batch, submitted
from tests.support.openai_server import Object, OpenAIServer
from tests.support.session import in_memory, openai_environment
from tests.support.unknown_batches import lose_the_journal, made_elsewhere

pytestmark = pytest.mark.anyio


def precious(tmp_path: Path) -> Path:
    """Make a folder of the user's that has nothing to do with jobs."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work", encoding="utf-8")
    return folder


def first_row_fails(custom_id: str, _body: Object) -> str | tuple[int, Object]:
    """Answer all rows but the first."""
    return (400, {"error": {"message": "no"}}) if custom_id.endswith("1") else "yes"


@pytest.mark.parametrize("is_absolute", [True, False])
async def test_a_folder_that_a_strangers_batch_names_is_left_alone_by_a_first_submission(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI, *, is_absolute: bool
) -> None:
    """A new journal takes up what an earlier one left, and clears up behind what it cannot take up."""
    folder = precious(tmp_path)
    named = str(folder) if is_absolute else "../../precious"
    batch_id = await made_elsewhere(client, batchwright_job=named)
    server.files.pop(server.batches[batch_id]["input_file_id"])
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        listed = await session.call("list_jobs")

    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    assert [job["job_id"] for job in listed["jobs"]] == [job_id]
    assert [(other["batch_id"], "job_id" in other) for other in listed["others"]] == [(batch_id, False)]


async def test_a_batch_that_names_a_strangers_folder_is_adopted_as_any_other(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """What somebody else wrote into it is no reason not to have its results, nor where to put them."""
    folder = precious(tmp_path)
    batch_id = await made_elsewhere(client, batchwright_job="../../precious")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        adopted = await session.call("adopt_batch", batch_id=batch_id)

    assert adopted["job_id"].startswith("job_")
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


async def test_an_adopted_batch_of_a_lost_journal_is_no_draft(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """It does not say whose it is, and its folder does: as a draft it would be sent, and paid, a second time."""
    batch_id = await made_elsewhere(client)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("adopt_batch", batch_id=batch_id))["job_id"]
    lose_the_journal(tmp_path)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        restored = await session.call("check_job", job_id=job_id)
        await session.call("submit_job", job_id=job_id, max_cost_usd=0.5, user_says="go_on")
        server.finish(batch_id)
        job = await session.finished(job_id)

    assert restored["status"] == "running"
    assert (job["status"], job["counts"]) == ("completed", {"answered": 3})
    assert server.posts == 1


async def test_a_job_that_has_run_is_no_draft_though_the_list_does_not_show_its_batch(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """A list shows only so much; the folder of a job that was to be retried knows what it has run as."""
    server.answer = first_row_fails
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        await session.finished(job_id)
        await session.call("retry_job", job_id=job_id)
    lose_the_journal(tmp_path)
    server.hidden.update(server.batches)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        await session.answer("submit_job", job_id=job_id, max_cost_usd=0.5, user_says="go_on")
        job = await session.finished(job_id)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 4, "failed": 1})
    assert server.posts == 1


async def test_a_service_that_lists_no_batches_does_not_keep_a_journal_from_being_made_anew(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Else a draft that was cut off in its last moment would make every call fail, for ever."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
    lose_the_journal(tmp_path)
    server.faults.add("batches.list", "404", times=100)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        listed = await session.call("list_jobs")
        frozen = await session.error("submit_job", job_id=job_id, max_cost_usd=0.5)

    assert [job["job_id"] for job in listed["jobs"]] == [job_id]
    assert "Nothing is submitted until the user agrees" in frozen
    assert server.posts == 0


async def test_what_another_process_is_drafting_is_not_taken_for_a_lost_job(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Its folder is there a moment before the journal has it; taken up, it would be taken away from who drafts it."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
    lose_the_journal(tmp_path)
    with JobFolder(tmp_path / "data" / "jobs" / job_id).lock():
        async with in_memory(env) as session:
            meanwhile = await session.call("list_jobs")
    async with in_memory(env) as session:
        afterwards = await session.call("list_jobs")

    assert (meanwhile["total"], meanwhile.get("notes")) == (0, None)
    assert [job["job_id"] for job in afterwards["jobs"]] == [job_id]
