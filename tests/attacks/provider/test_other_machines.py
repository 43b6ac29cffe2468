"""One account, several machines: what another one runs is no sign that a journal was lost here."""

import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from batchwright.core.bounds import ReadLimits
from batchwright.core.job_folder import JobFolders
from batchwright.core.machine import machine
from batchwright.core.provenance import JOURNAL_KEY, MACHINE_KEY, is_from_elsewhere
from batchwright.jobs.remote_jobs import RemoteJobs
from batchwright.jobs.restoring import Restoring
from batchwright.journal.journal import Journal
from batchwright.providers.openai import OpenAIAPI
from tests.support.five_rows import DRAFT, submitted
from tests.support.openai_server import OpenAIServer
from tests.support.session import in_memory, openai_environment
from tests.support.unknown_batches import CHAT, made_elsewhere

pytestmark = pytest.mark.anyio

JOB = "job_abcdefgh"
OTHER = {JOURNAL_KEY: "0" * 32, MACHINE_KEY: "f" * 32}
HERE = {JOURNAL_KEY: "1" * 32, MACHINE_KEY: "e" * 32}


def now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


async def test_another_machines_batches_do_not_freeze_a_fresh_journal(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """Nothing was lost, so nobody has to say that it may go on; they can still be adopted."""
    theirs = await made_elsewhere(client, 3, CHAT, batchwright_job=JOB, **OTHER)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        listed = await session.call("list_jobs")
        adopted = await session.call("adopt_batch", batch_id=theirs)

    assert [job["job_id"] for job in listed["jobs"]] == [job_id]
    assert [batch["batch_id"] for batch in listed["others"]] == [theirs]
    assert "notes" not in listed
    assert adopted["job_id"] == JOB


@pytest.mark.parametrize(
    "marks",
    [{}, {JOURNAL_KEY: OTHER[JOURNAL_KEY]}, {MACHINE_KEY: OTHER[MACHINE_KEY]}],
    ids=["an older version's", "on a machine without a name", "of no journal"],
)
async def test_batches_that_may_be_of_a_journal_lost_here_freeze_it(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI, marks: dict[str, str]
) -> None:
    """Nobody can tell, so the user is asked before anything is spent twice."""
    await made_elsewhere(client, 3, CHAT, batchwright_job=JOB, **marks)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        frozen = await session.error("submit_job", job_id=job_id, max_cost_usd=0.5)

    assert "shows batches of 1 jobs that this journal does not know" in frozen
    assert server.posts == 1


async def test_an_account_that_shows_no_end_of_batches_freezes_a_fresh_journal(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """What was left there is not known; only the user can say that nothing was, and then it goes on."""
    await made_elsewhere(client)
    (batch,) = server.batches.values()
    server.batches |= {f"b{n}": batch | {"id": f"b{n}"} for n in range(300)}
    opening = OpenAIAPI.opened(key=server.key, base_url=server.url, bounds=ReadLimits(pages=2))
    async with opening as api:
        with closing(Journal(tmp_path / "journal.db", now=now)) as journal:
            folders = JobFolders(tmp_path)
            remote_jobs = RemoteJobs(journal, api, folders=folders, now=now)
            await Restoring(journal, api, remote_jobs, folders=folders).meet("host")
            frozen, is_known = journal.freezes.reason(), journal.providers.was_searched("host")

    assert (frozen or "").startswith("host lists more batches than can be searched")
    assert is_known


async def test_a_journal_that_was_lost_on_this_very_machine_is_noticed(tmp_path: Path, server: OpenAIServer) -> None:
    """With everything of ours gone, its batches still say where they come from."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        await submitted(session)
    shutil.rmtree(tmp_path / "data")
    async with in_memory(env) as session:
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        frozen = await session.error("submit_job", job_id=job_id, max_cost_usd=0.5)

    (batch,) = server.batches.values()
    marks = {name: batch["metadata"].get(name) for name in (JOURNAL_KEY, MACHINE_KEY)}
    assert (len(marks[JOURNAL_KEY]), marks[MACHINE_KEY]) == (32, machine())
    assert "shows batches of 1 jobs that this journal does not know" in frozen


def test_two_journals_have_two_names_and_one_keeps_its_own(tmp_path: Path) -> None:
    """Otherwise none could be told from another."""
    names: list[str] = []
    for path in (tmp_path / "one.db", tmp_path / "one.db", tmp_path / "other.db"):
        with closing(Journal(path, now=now)) as journal:
            names.append(journal.queries.origin()[JOURNAL_KEY])

    first, again, other = names
    assert first == again != other


def test_a_machine_does_not_give_its_name_away() -> None:
    """A batch's metadata is seen by all who share the account."""
    own = Path("/etc/machine-id")
    name = machine()

    assert name == machine()
    assert name is None or (len(name) == 32 and not (own.exists() and own.read_text(encoding="ascii").strip() in name))


@pytest.mark.parametrize(
    ("there", "here", "is_elsewhere"),
    [
        (OTHER, HERE, True),
        (OTHER, {JOURNAL_KEY: HERE[JOURNAL_KEY]}, False),
        (HERE, HERE, False),
        (OTHER | {MACHINE_KEY: HERE[MACHINE_KEY]}, HERE, False),
        (OTHER | {JOURNAL_KEY: HERE[JOURNAL_KEY]}, HERE, False),
        (None, HERE, False),
    ],
    ids=["another's", "this one has no name", "ours", "lost here", "moved", "nobody's"],
)
def test_only_another_journal_on_another_machine_is_elsewhere(there: Any, here: Any, *, is_elsewhere: bool) -> None:
    """A journal that was copied, or set back, is the same one; a machine without a name may be any."""
    assert is_from_elsewhere(there, here) == is_elsewhere
