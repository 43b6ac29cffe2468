"""What an answer tells to do next, and what it says of money and of what is not there yet, through a real client."""

from pathlib import Path
from typing import Any

import pytest

from batchwright.checks.families import tight_bound
from batchwright.core.model import Endpoint, Json
from batchwright.mcp_server.views.view import View
from tests.support.openai_server import OpenAIServer
from tests.support.session import Session, at_endpoint, in_memory, openai_environment

pytestmark = pytest.mark.anyio

ROWS = [{"Ticket-Nr": f"T{number}", "text": f"word {number}"} for number in range(1, 5)]
DRAFT: dict[str, Any] = {
    "rows": ROWS,
    "prompt": "say {{text}}",
    "model": "gpt-5-mini",
    "parameters": {"max_completion_tokens": 1000},
}


async def drafted(session: Session, **changes: Any) -> dict[str, Any]:
    """Draft a job."""
    return await session.call("create_batch_file", **DRAFT | changes)


async def ended(session: Session, server: OpenAIServer, **changes: Any) -> str:
    """Run a job to its end, and give its id."""
    job_id = (await drafted(session, **changes))["job_id"]
    await session.call("submit_job", job_id=job_id)
    server.finish(next(reversed(server.batches)))
    await session.finished(job_id)
    return job_id


@pytest.mark.slow
async def test_a_question_to_a_running_job_says_why_done_rows_have_no_answer_yet(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """`check_job` counts them as answered: two answers that contradict each other are not believed."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await drafted(session))["job_id"]
        await session.call("submit_job", job_id=job_id)
        batch = server.step(next(iter(server.batches)))
        batch["request_counts"] |= {"completed": 3}
        job = await session.call("check_job", job_id=job_id)
        profile = await session.call("query_results", job_id=job_id)
        found = await session.call("query_results", job_id=job_id, sql="SELECT count(*) AS n FROM results")

    assert job["counts"] == {"answered": 3, "running": 1}
    for told in (profile, found):
        assert told["notes"][0].endswith(
            "4 rows have no result yet. 3 of them are done, and are read when their batch has finished."
        )
        assert told["next"].startswith(f'check_job(job_id="{job_id}", wait_seconds=45)')


@pytest.mark.slow
async def test_columns_are_named_as_sql_takes_them(tmp_path: Path, server: OpenAIServer) -> None:
    """A model that reads Ticket-Nr writes Ticket-Nr, which is a subtraction."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server)
        wrong = await session.error("query_results", job_id=job_id, sql="SELECT Ticket-Nr FROM results")
        right = await session.call("query_results", job_id=job_id, sql='SELECT "Ticket-Nr" FROM results')

    assert 'Columns of results: row, custom_id, "Ticket-Nr", text, answer,' in wrong
    assert right["rows"] == 4


async def test_results_name_the_retry_that_helps_and_the_tool_that_answers_questions(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Whoever reads only the results learns that there is more to do."""
    server.answer = lambda custom_id, _: (500, {"error": {"message": "a fault"}}) if custom_id == "row-2" else "x"
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server)
        shown = await session.call("get_results", job_id=job_id, limit=1)
        saved = await session.call("get_results", job_id=job_id, save_as="out.csv")

    retry = f'retry_job(job_id="{job_id}", outcomes=["failed"]) drafts a retry of 1 rows'
    questions = "query_results answers questions"
    assert shown["next"] == (
        f'get_results(job_id="{job_id}", save_as="results.csv") writes all rows to a file; {retry}; {questions}; '
        "offset=1 shows more"
    )
    assert saved["next"] == (
        f'tell the user where the results are; {questions}; {retry}; delete_files(job_id="{job_id}") cleans up'
    )


async def test_a_job_that_ran_here_has_nothing_to_clean_up_at_a_provider(tmp_path: Path) -> None:
    """Advice that changes nothing costs a call."""
    async with at_endpoint(tmp_path) as (_, session):
        job_id = (await drafted(session, model="m"))["job_id"]
        await session.call("submit_job", job_id=job_id)
        await session.finished(job_id)
        saved = await session.call("get_results", job_id=job_id, save_as="out.csv")

    assert "delete_files" not in saved["next"]


async def test_a_draft_of_an_earlier_conversation_says_what_it_may_cost(tmp_path: Path, server: OpenAIServer) -> None:
    """The next call is to tell the user the cost, which nobody remembers."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft = await drafted(session)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await session.call("check_job", job_id=draft["job_id"])

    most = draft["cost"].split(" to ")[1].split()[0]
    assert job["cost"] == f"up to {most}"


async def test_a_submission_without_a_maximum_says_what_was_taken_for_agreed(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Agreed is what the user said; and what is agreed once, a second call does not change."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        silent = (await drafted(session))["job_id"]
        first = await session.call("submit_job", job_id=silent)
        lower = await session.call("submit_job", job_id=silent, max_cost_usd=0.001)
        told = (await drafted(session, prompt="tell {{text}}"))["job_id"]
        second = await session.call("submit_job", job_id=told, max_cost_usd=1)
        same = await session.call("submit_job", job_id=told, max_cost_usd=1)

    assert first["notes"] == [
        "No max_cost_usd was given, so the most that the draft may cost counts as agreed. Tell the user."
    ]
    assert lower["notes"][0] == "Already submitted: nothing was sent again."
    assert lower["notes"][1].startswith("The amount agreed then still applies: $")
    assert "notes" not in second
    assert same["notes"] == ["Already submitted: nothing was sent again."]


async def test_an_open_draft_says_first_how_its_cost_is_bounded(tmp_path: Path, server: OpenAIServer) -> None:
    """A limit that cannot be enforced is no limit, and the user should hear that before anything is sent."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft = await drafted(session, parameters={})
        responses = await drafted(session, parameters={}, endpoint="/v1/responses")
        unpriced = await drafted(session, parameters={}, model="mystery-1")

    assert draft["next"].startswith(
        'bound the cost with another draft, parameters={"max_completion_tokens": ...}; or, as is: try_requests('
    )
    assert draft["next"].endswith(
        "ask the user how much it may cost, which is then agreed but not enforced, then "
        f'submit_job(job_id="{draft["job_id"]}", max_cost_usd=...)'
    )
    assert '{"max_output_tokens": ...}' in responses["next"]
    assert "bound the cost" not in unpriced["next"]


async def test_the_length_of_answers_that_fits_a_limit_does_fit_it(tmp_path: Path, server: OpenAIServer) -> None:
    """An assistant drafts anew with the number that it reads, and that is then enough."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await drafted(session))["job_id"]
        told = await session.error("submit_job", job_id=job_id, max_cost_usd=0.002)
        bound = int(told.split("max_completion_tokens ")[1].split(")")[0])
        shorter = await drafted(session, parameters={"max_completion_tokens": bound})
        job = await session.call("submit_job", job_id=shorter["job_id"], max_cost_usd=0.002)
        too_little = await session.error("submit_job", job_id=job_id, max_cost_usd=0.00005)

    assert 200 < bound < 1000
    assert job["status"] == "running"
    assert "shorter answers or a cheaper model" in too_little


@pytest.mark.slow
async def test_a_packed_request_is_shown_by_its_first_texts(tmp_path: Path, server: OpenAIServer) -> None:
    """A hundred texts say no more than three, at thirty times the tokens; and vectors are asked for what is alike."""
    draft: dict[str, Any] = {
        "model": "text-embedding-3-small",
        "endpoint": "/v1/embeddings",
        "prompt": "{{text}}",
        "parameters": {},
    }
    async with in_memory(openai_environment(tmp_path, server)) as session:
        four = await drafted(session, **draft, inputs_per_request=4)
        job_id = await ended(session, server, **draft, inputs_per_request=2)
        profile = await session.call("query_results", job_id=job_id)
        sql = profile["next"].split('sql="')[1].split('")')[0]
        alike = await session.call("query_results", job_id=job_id, sql=sql)

    assert '"input":["word 1","word 2","word 3","… (1 more)"]' in four["first_request"]
    assert alike["columns"] == ["row", "likeness"]
    assert alike["rows"] == 3


async def test_a_compared_draft_is_tried_next(tmp_path: Path, server: OpenAIServer) -> None:
    """Prices say nothing of the answers."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await drafted(session))["job_id"]
        costs = await session.call("compare_costs", job_id=job_id, models="gpt-5-nano")

    assert costs["next"].startswith(f'try_requests(job_id="{job_id}", models=[...]) compares how they answer, or ')


class _Said(View):
    notes: list[str]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (["Ticket-Nr", "text"], "notes: Ticket-Nr, text"),
        (["One sentence, with a comma of its own."], "notes: One sentence, with a comma of its own."),
        (["It is so, at least here.", "starting"], "notes:\n  It is so, at least here.\n  starting"),
    ],
)
def test_sentences_stand_on_lines_of_their_own(said: list[str], text: str) -> None:
    """A comma between two sentences hides where one ends."""
    assert _Said(notes=said).text() == text


@pytest.mark.parametrize(
    ("endpoint", "fields", "is_tight"),
    [
        ("/v1/chat/completions", {"model": "gpt-5-mini", "max_completion_tokens": 50}, True),
        ("/v1/chat/completions", {"model": "gpt-5-mini", "max_completion_tokens": 2_000}, False),
        ("/v1/chat/completions", {"model": "gpt-5-mini", "max_completion_tokens": "50"}, False),
        (
            "/v1/chat/completions",
            {"model": "gpt-5-mini", "max_completion_tokens": 50, "reasoning_effort": "minimal"},
            False,
        ),
        ("/v1/chat/completions", {"model": "gpt-5.1", "max_completion_tokens": 50}, False),
        ("/v1/chat/completions", {"model": "gpt-5.1", "max_completion_tokens": 50, "reasoning_effort": "low"}, True),
        ("/v1/chat/completions", {"model": "gpt-4o-mini", "max_completion_tokens": 50}, False),
        ("/v1/chat/completions", {"model": "mystery-1", "max_completion_tokens": 50}, False),
        ("/v1/responses", {"model": "o4-mini", "max_output_tokens": 16}, True),
        ("/v1/responses", {"model": "o4-mini", "max_output_tokens": 16, "reasoning": {"effort": "low"}}, True),
    ],
)
def test_a_bound_that_reasoning_may_use_up_is_told(
    endpoint: Endpoint, fields: dict[str, Json], *, is_tight: bool
) -> None:
    """Every row would be cut short before its first word, and paid."""
    assert (tight_bound(endpoint, fields) is not None) is is_tight
