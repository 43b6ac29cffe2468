"""Argument completion, through a real client."""

import json
from pathlib import Path

import duckdb
import pytest
from mcp import Client
from mcp.types import Completion, PromptReference, ResourceTemplateReference

from batchwright.mcp_server.addresses import TEMPLATES
from tests.support.session import MODES, OPENAI_ITSELF, Mode, Session, environment, in_memory

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("openai_out_of_reach")]

JOB = ResourceTemplateReference(uri=TEMPLATES["job"])
RESULTS = ResourceTemplateReference(uri=TEMPLATES["results"])


async def of_prompt(client: Client, argument: str, typed: str, name: str = "classify", **given: str) -> Completion:
    """Complete an argument of a prompt."""
    ref = PromptReference(name=name)
    return (await client.complete(ref, {"name": argument, "value": typed}, given or None)).completion


async def draft(session: Session) -> str:
    """Make a draft, and give its id."""
    made = await session.call("create_batch_file", rows=[{"a": 1}], prompt="{{a}}", model="gpt-5-mini")
    return made["job_id"]


@pytest.mark.parametrize("mode", MODES)
async def test_job_ids_are_completed_the_newest_first(tmp_path: Path, mode: Mode) -> None:
    """Nobody remembers them."""
    env = environment(tmp_path) | OPENAI_ITSELF
    async with in_memory(env, mode) as session:
        before = (await session.client.complete(JOB, {"name": "job_id", "value": ""})).completion
        job_ids = [await draft(session) for _ in range(3)]
        every = (await session.client.complete(JOB, {"name": "job_id", "value": "job_"})).completion
        one = (await session.client.complete(RESULTS, {"name": "job_id", "value": job_ids[0][4:]})).completion

    assert (before.values, before.total, before.has_more) == ([], 0, False)
    assert (every.values, every.total, every.has_more) == (job_ids[::-1], 3, False)
    assert one.values == [job_ids[0]]


async def test_more_than_a_hundred_are_cut_and_counted(tmp_path: Path) -> None:
    """The protocol allows no more, and what is left out is said."""
    work = tmp_path / "work"
    work.mkdir()
    for number in range(130):
        (work / f"t{number:03d}.csv").write_text("a\n1\n", encoding="utf-8")
    async with in_memory(environment(tmp_path)) as session:
        files = await of_prompt(session.client, "source", "t")
        few = await of_prompt(session.client, "source", "T12")

    assert (len(files.values), files.total, files.has_more) == (100, 130, True)
    assert few.values == [f"t12{number}.csv" for number in range(10)]


async def test_models_are_those_that_were_used_then_those_that_are_known(tmp_path: Path) -> None:
    """For a chat those that chat, for vectors those that embed."""
    env = environment(tmp_path) | OPENAI_ITSELF
    async with in_memory(env) as session:
        await draft(session)
        chat = await of_prompt(session.client, "model", "")
        some = await of_prompt(session.client, "model", "5.4")
        embedding = await of_prompt(session.client, "model", "", name="embed")

    assert chat.values[0] == "gpt-5-mini"
    assert len(chat.values) == len(set(chat.values)) > 20
    assert not [model for model in chat.values if "embedding" in model or "audio" in model]
    assert {"gpt-5.4", "gpt-5.4-mini"} <= set(some.values)
    assert all("5.4" in model for model in some.values)
    assert "gpt-5.4-nano" not in some.values, "its end is announced"
    assert {"text-embedding-3-small", "text-embedding-3-large"} <= set(embedding.values)
    assert all("embedding" in model for model in embedding.values)


@pytest.mark.parametrize("mode", MODES)
async def test_columns_are_those_of_the_source_that_is_named(tmp_path: Path, mode: Mode) -> None:
    """Of any kind of file, as far as that is quick; of nothing, nothing."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.csv").write_text("text;topic;Ticket id\nx;y;1\n", encoding="utf-8")
    (work / "b.csv").write_text("größe,text\n1,x\n", encoding="utf-16")
    (work / "c.jsonl").write_text(json.dumps({"text": 1, "tag": 2}) + "\n", encoding="utf-8")
    duckdb.execute(f"COPY (SELECT 1 AS n, 'x' AS text) TO '{work}/d.parquet' (FORMAT parquet)")
    async with in_memory(environment(tmp_path), mode) as session:
        client = session.client
        found = {
            name: (await of_prompt(client, "columns", "", source=name)).values
            for name in ("a.csv", "b.csv", "c.jsonl", "d.parquet", "none.csv", "SELECT 1", "", "/etc/passwd")
        }
        typed = await of_prompt(client, "columns", "topic, t", source="a.csv")
        truth = await of_prompt(client, "truth", "T", source="a.csv")
        unnamed = await of_prompt(client, "columns", "")

    assert found == {
        "a.csv": ["text", "topic", "Ticket id"],
        "b.csv": ["größe", "text"],
        "c.jsonl": ["text", "tag"],
        "d.parquet": ["n", "text"],
        **{name: [] for name in ("none.csv", "SELECT 1", "", "/etc/passwd")},
    }
    assert typed.values == ["topic, text", "topic, Ticket id"]
    assert truth.values == ["text", "topic", "Ticket id"]
    assert unnamed.values == []


async def test_what_hides_something_is_not_offered(tmp_path: Path) -> None:
    """A name with an invisible character is no help, and may be meant to harm."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.csv").write_text(f"ok,\u202eevil,{'x' * 300}\n1,2,3\n", encoding="utf-8")
    (work / "b\u200b.csv").write_text("a\n1\n", encoding="utf-8")
    async with in_memory(environment(tmp_path)) as session:
        columns = await of_prompt(session.client, "columns", "", source="a.csv")
        files = await of_prompt(session.client, "source", "")

    assert columns.values == ["ok"]
    assert files.values == ["a.csv"]


async def test_languages_and_outcomes_are_known(tmp_path: Path) -> None:
    """A closed set is offered whole."""
    async with in_memory(environment(tmp_path)) as session:
        languages = await of_prompt(session.client, "language", "ger", name="translate")
        outcomes = (await session.client.complete(RESULTS, {"name": "outcome", "value": "e"})).completion
        labels = await of_prompt(session.client, "labels", "")

    assert languages.values == ["German"]
    assert outcomes.values[0] == "expired"
    assert "refused" in outcomes.values
    assert labels.values == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("ref", "argument"),
    [
        (PromptReference(name="nothing"), "source"),
        (PromptReference(name="classify"), "nothing"),
        (ResourceTemplateReference(uri="batchwright://none/{x}"), "x"),
        (JOB, "outcome"),
    ],
)
async def test_for_what_does_not_exist_nothing_is_offered(
    tmp_path: Path, mode: Mode, ref: PromptReference | ResourceTemplateReference, argument: str
) -> None:
    """The protocol lets a server refuse it; its conformance suite wants an answer."""
    async with in_memory(environment(tmp_path), mode) as session:
        completion = (await session.client.complete(ref, {"name": argument, "value": ""})).completion

    assert (completion.values, completion.total, completion.has_more) == ([], 0, False)


async def test_completing_a_job_opens_nothing_where_there_is_none(tmp_path: Path) -> None:
    """A client may ask while the user types; that makes no folders."""
    async with in_memory(environment(tmp_path)) as session:
        await session.client.complete(JOB, {"name": "job_id", "value": ""})
        await of_prompt(session.client, "model", "gpt")

    assert not (tmp_path / "data").exists()
