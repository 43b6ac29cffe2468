"""A ready-made batch file that is replaced while it is read: what was checked and priced is what is sent."""

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from batchwright.app.app import open_runtime
from batchwright.core import files
from batchwright.core.errors import BatchwrightError, InvalidInput
from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import decode_request
from batchwright.core.progress import Progress
from batchwright.core.settings import Settings
from batchwright.jobs.build import Draft
from batchwright.jobs.draft import DraftRequest
from tests.support.openai_server import OpenAIServer
from tests.support.session import openai_environment
from tests.support.swapped_names import swapping, tries

pytestmark = pytest.mark.anyio

CHEAP, DEAR = "gpt-4o-mini", "gpt-4"
LINES = 500


def write(path: Path, model: str, *, last: str | None = None) -> None:
    """Write a batch file, whose last line may ask another model."""
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 9}
    line = {"method": "POST", "url": "/v1/chat/completions"}
    models = [model] * (LINES - 1) + [last or model]
    lines = (
        {"custom_id": f"r{number}", **line, "body": body | {"model": asked}} for number, asked in enumerate(models)
    )
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in lines))


def models(folder: Path, draft: Draft) -> list[str]:
    """Return the models of all requests that would be sent, in the order of the lines."""
    requests = JobFolder(folder / "jobs" / draft.job.id).requests
    paths = map(requests, draft.job.parts)
    return [str(decode_request(line).body["model"]) for path in paths for line in files.lines(path)]


@pytest.mark.parametrize("moment", ["Reading", "Checking", "Numbering", "Writing"])
async def test_what_replaces_a_batch_file_is_neither_priced_nor_sent(
    tmp_path: Path, server: OpenAIServer, moment: str
) -> None:
    """The price is that of the lines that were checked; dearer lines would be paid for without anybody's word."""
    settings = Settings.from_env(openai_environment(tmp_path, server))
    path, dear = tmp_path / "work" / "q.jsonl", tmp_path / "work" / "dear.jsonl"
    write(path, CHEAP)
    write(dear, DEAR)

    def replace(_percent: float, doing: str) -> None:
        if doing.startswith(moment) and dear.exists():
            dear.replace(path)

    async with open_runtime(settings) as app:
        drafting = (await app.use_cases()).drafting
        draft = await drafting.create(DraftRequest(batch_file="q.jsonl"), Progress.to(replace))

    sent = models(tmp_path / "data", draft)
    assert not dear.exists(), "the file was replaced in time"
    assert len(sent) == LINES
    assert set(sent) == {draft.job.recipe.model}
    assert draft.job.recipe.model == (DEAR if moment == "Reading" else CHEAP)


async def test_a_line_that_was_read_is_checked_though_a_clean_file_takes_its_place(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """A check of another file than the one that is sent would let a dear line pass."""
    settings = Settings.from_env(openai_environment(tmp_path, server))
    path, clean = tmp_path / "work" / "q.jsonl", tmp_path / "work" / "clean.jsonl"
    write(path, CHEAP, last=DEAR)
    write(clean, CHEAP)

    def replace(_percent: float, doing: str) -> None:
        if doing.startswith("Checking") and clean.exists():
            clean.replace(path)

    async with open_runtime(settings) as app:
        drafting = (await app.use_cases()).drafting
        with pytest.raises(InvalidInput, match=f"line {LINES}: mismatched_model"):
            await drafting.create(DraftRequest(batch_file="q.jsonl"), Progress.to(replace))

    assert not clean.exists(), "the file was replaced in time"


async def test_a_batch_file_replaced_again_and_again_is_one_or_the_other(tmp_path: Path, server: OpenAIServer) -> None:
    """Whoever swaps without rest meets each moment sooner or later."""
    settings = Settings.from_env(openai_environment(tmp_path, server))
    path, dear = tmp_path / "work" / "q.jsonl", tmp_path / "work" / "dear.jsonl"
    write(path, CHEAP)
    write(dear, DEAR)
    drafts: list[Draft] = []

    async with open_runtime(settings) as app:
        drafting = (await app.use_cases()).drafting
        with swapping(path, dear):
            for _ in tries():
                with suppress(BatchwrightError):
                    drafts.append(await drafting.create(DraftRequest(batch_file="q.jsonl")))
        found = [(draft.job.recipe.model, set(models(tmp_path / "data", draft))) for draft in drafts]

    assert [model for model, sent in found if sent != {model}] == []
