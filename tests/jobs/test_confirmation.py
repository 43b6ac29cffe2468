"""What a job may cost: agreed to by the user, within the operator's limits, asked for where the client can."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.endpoint import running_endpoint
from tests.support.five_dollars import DRAFT, drafted
from tests.support.five_rows import ROWS
from tests.support.openai_server import Object, OpenAIServer, answer_body
from tests.support.session import MODES, Mode, Session, User, environment, in_memory, openai_environment, over_stdio

pytestmark = pytest.mark.anyio


def dear(_custom_id: str, body: Object) -> Object:
    """Answer with 899,000 tokens, as the usage says."""
    answer = answer_body("/v1/chat/completions", body, "much")
    return answer | {"usage": {"prompt_tokens": 10, "completion_tokens": 899_000, "total_tokens": 899_010}}


def nothing_was_sent(server: OpenAIServer) -> bool:
    """Whether the provider has got neither a file nor a batch."""
    return (server.posts, server.uploads) == (0, 0)


async def test_a_maximum_below_the_ceiling_is_refused(tmp_path: Path, server: OpenAIServer) -> None:
    """The user's word is the limit, and the sentence says what would help."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session)
        text = await session.error("submit_job", job_id=job_id, max_cost_usd=1)
        jobs = await session.call("list_jobs")

    assert text == (
        f"{job_id} may cost up to $5.00, above max_cost_usd $1.00. Nothing was sent. Ask the user for more, or draft "
        "it with fewer rows, shorter answers (max_completion_tokens 199998) or a cheaper model, which compare_costs "
        "finds."
    )
    assert jobs["jobs"][0]["status"] == "draft"
    assert nothing_was_sent(server)


async def test_the_most_that_a_draft_names_is_enough_to_agree_to(tmp_path: Path, server: OpenAIServer) -> None:
    """A user who is told $5.00 agrees to $5.00, and not to a fraction of a cent more."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft = await session.call("create_batch_file", **DRAFT | {"parameters": {"max_completion_tokens": 1_000_000}})
        named = draft["cost"].split(" to $")[1].split()[0]
        job = await session.call("submit_job", job_id=draft["job_id"], max_cost_usd=float(named))

    assert job["status"] == "running"
    assert server.posts == 1


async def test_the_next_call_of_a_draft_leaves_its_maximum_to_the_user(tmp_path: Path, server: OpenAIServer) -> None:
    """A figure that stands ready would be agreed to by whoever copies it."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft = await session.call("create_batch_file", **DRAFT)
        most = draft["cost"].split(" to $")[1].split()[0]
        job = await session.call("submit_job", job_id=draft["job_id"], max_cost_usd=float(most))

    call = f'submit_job(job_id="{draft["job_id"]}", max_cost_usd=...)'
    assert f"shows sample answers; then tell the user the cost, then {call}" in draft["next"]
    assert job["cost"].endswith(f"at most ${most} agreed")


async def test_no_job_costs_more_than_the_operator_lets_one_cost(tmp_path: Path, server: OpenAIServer) -> None:
    """Whatever the assistant asks for, and whatever the user agrees to."""
    env = openai_environment(tmp_path, server, max_job_usd="2")
    user = User()
    async with in_memory(env, user=user) as session:
        job_id = await drafted(session)
        unbounded = await drafted(session, parameters={})
        texts = [
            await session.error("submit_job", job_id=job_id),
            await session.error("submit_job", job_id=job_id, max_cost_usd=1_000),
            await session.error("submit_job", job_id=unbounded, max_cost_usd=2.01),
        ]

    for text, wanted in zip(texts, ("$5.00", "$5.00", "$2.01"), strict=True):
        assert f" may cost up to {wanted}, and the operator allows $2.00 a job. " in text
        assert text.endswith("Draft it with fewer rows, or have BATCHWRIGHT_MAX_JOB_USD raised.")
    assert user.questions == []
    assert nothing_was_sent(server)


async def test_all_jobs_of_a_day_stay_within_the_operators_limit(tmp_path: Path, server: OpenAIServer) -> None:
    """A loop of an assistant stops there, and is told why, and what would help."""
    async with in_memory(openai_environment(tmp_path, server, max_day_usd="12")) as session:
        jobs = [await drafted(session) for _ in range(4)]
        for job_id in jobs[:2]:
            await session.call("submit_job", job_id=job_id, max_cost_usd=5)
        texts = [await session.error("submit_job", job_id=job_id, max_cost_usd=5) for job_id in jobs[2:]]

    told = (
        "All jobs together may cost $12.00 within 24 hours, of which $9.99 is taken; this would take up to $5.00. "
        "Wait until running jobs have finished and their real cost is known, or have BATCHWRIGHT_MAX_DAY_USD raised."
    )
    assert texts == [told, told]
    assert server.posts == 2


@pytest.mark.slow
async def test_two_servers_cannot_both_take_the_last_of_the_day(tmp_path: Path, server: OpenAIServer) -> None:
    """The limit is looked at and taken in one step."""
    env = openai_environment(tmp_path, server, max_day_usd="6")
    async with in_memory(env) as first, in_memory(env) as second:
        jobs = [(session, await drafted(session)) for session in (first, second) for _ in range(4)]
        answers: list[tuple[str, Any]] = []

        async def submit(session: Session, job_id: str) -> None:
            answers.append(await session.answer("submit_job", job_id=job_id, max_cost_usd=5))

        async with anyio.create_task_group() as tasks:
            for session, job_id in jobs:
                tasks.start_soon(submit, session, job_id)

    assert sum(content is not None for _, content in answers) == 1
    assert sum("All jobs together may cost $6.00" in text for text, _ in answers) == 7
    assert server.posts == 1


async def test_the_real_cost_takes_the_place_of_what_was_reserved(tmp_path: Path, server: OpenAIServer) -> None:
    """Most jobs cost far less than they could: the rest of the day's money is free again at their end."""
    async with in_memory(openai_environment(tmp_path, server, max_day_usd="6")) as session:
        first, second = await drafted(session), await drafted(session)
        await session.call("submit_job", job_id=first, max_cost_usd=5.5)
        refused = await session.error("submit_job", job_id=second, max_cost_usd=5)
        server.finish(next(iter(server.batches)))
        job = await session.call("check_job", job_id=first)
        await session.call("submit_job", job_id=second, max_cost_usd=5)

    usage = next(iter(server.batches.values()))["usage"]
    cost = usage["input_tokens"] * 0.125e-6 + usage["output_tokens"] * 1e-6
    assert "All jobs together may cost $6.00" in refused
    assert job["cost"] == f"${cost:.6f}; at most $5.50 agreed"
    assert (job["input_tokens"], job["output_tokens"]) == (usage["input_tokens"], usage["output_tokens"])
    assert server.posts == 2


async def test_what_the_batch_says_it_used_counts_for_its_cost(tmp_path: Path, server: OpenAIServer) -> None:
    """The provider's own sum is what it charges, also for answers that nobody gets to see."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session)
        await session.call("submit_job", job_id=job_id, max_cost_usd=5)
        batch = server.finish(next(iter(server.batches)))
        batch["usage"] |= {"input_tokens": 8_000_000, "output_tokens": 2_000_000}
        job = await session.call("check_job", job_id=job_id)

    assert job["cost"] == "$3.00; at most $5.00 agreed"


async def test_money_that_was_spent_is_there_again_a_day_later(tmp_path: Path, server: OpenAIServer) -> None:
    """The sentence names the time, so that nobody has to try again and again."""
    server.answer = dear
    async with in_memory(openai_environment(tmp_path, server, max_day_usd="6")) as session:
        first, second = await drafted(session), await drafted(session)
        await session.call("submit_job", job_id=first, max_cost_usd=5)
        server.finish(next(iter(server.batches)))
        job = await session.call("check_job", job_id=first)
        refused = await session.error("submit_job", job_id=second, max_cost_usd=5)

    assert job["cost"] == "$4.50; at most $5.00 agreed"
    assert "of which $4.50 is taken" in refused
    assert "There is room again at 20" in refused
    assert server.posts == 1


async def test_a_refused_creation_gives_back_what_was_reserved(tmp_path: Path, server: OpenAIServer) -> None:
    """Nothing was bought: the next job may have the money."""
    server.faults.add("batches.create", "insufficient_quota")
    async with in_memory(openai_environment(tmp_path, server, max_day_usd="6")) as session:
        first, second = await drafted(session), await drafted(session)
        job = await session.call("submit_job", job_id=first, max_cost_usd=5)
        await session.call("submit_job", job_id=second, max_cost_usd=5)

    assert (job["status"], job["counts"]) == ("failed", {"never_ran": 5})
    assert job["cost"] == "$0.00; at most $5.00 agreed"
    assert "HTTP 429 (code insufficient_quota): You exceeded your current quota" in str(job)
    assert (server.posts, server.batches_created) == (2, 1)


async def test_a_job_that_is_refused_for_now_is_sent_within_what_was_agreed(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Its money is given back and taken again; the limit stays as it was."""
    server.faults.add("batches.create", "429_retry_after", times=2)
    server.faults.retry_after_seconds = 0
    async with in_memory(openai_environment(tmp_path, server, max_day_usd="6")) as session:
        first, second = await drafted(session), await drafted(session)
        await session.call("submit_job", job_id=first, max_cost_usd=5)
        waiting = await session.call("check_job", job_id=first)
        running = await session.call("check_job", job_id=first)
        refused = await session.error("submit_job", job_id=second, max_cost_usd=5)

    assert "Rate limit reached" in waiting["notes"][0]
    assert "notes" not in running
    assert "of which $5.00 is taken" in refused
    assert (server.posts, server.batches_created) == (3, 1)


@pytest.mark.parametrize("prices", ["", "openai"])
async def test_an_unpriced_job_needs_a_maximum_and_is_never_called_free(
    tmp_path: Path, server: OpenAIServer, prices: str
) -> None:
    """Neither a service nor a model without a known price costs nothing."""
    model = "mystery-1" if prices else "gpt-5-mini"
    async with in_memory(openai_environment(tmp_path, server, prices=prices)) as session:
        answers = [await session.answer("create_batch_file", **DRAFT | {"model": model})]
        job_id = (answers[0][1] or {})["job_id"]
        refused = await session.error("submit_job", job_id=job_id)
        sent_too_early = server.posts
        answers.append(await session.answer("submit_job", job_id=job_id, max_cost_usd=2))
        server.finish(next(iter(server.batches)))
        answers.append(await session.answer("check_job", job_id=job_id))
        answers.append(await session.answer("get_results", job_id=job_id))
        answers.append(await session.answer("list_jobs"))

    draft = answers[0][1] or {}
    assert draft["cost"].startswith("not known")
    assert draft["next"] == (
        f'try_requests(job_id="{job_id}", max_cost_usd=...) shows sample answers; then ask the user how much it may '
        f'cost, which is then agreed but not enforced, then submit_job(job_id="{job_id}", max_cost_usd=...)'
    )
    assert refused.endswith("Ask the user how much it may cost, and pass that as max_cost_usd.")
    assert "no known price" in refused if prices else "is unpriced, not free" in refused
    assert sent_too_early == 0
    assert server.posts == 1
    for text, content in answers:
        told = text + json.dumps(content)
        assert "$0" not in told
        assert "free" not in told.replace("not free", "")


async def test_an_unpriced_job_counts_with_all_that_was_agreed(tmp_path: Path, server: OpenAIServer) -> None:
    """What nobody knows is taken at its most, for the day's limit too."""
    async with in_memory(openai_environment(tmp_path, server, prices="", max_day_usd="6")) as session:
        first, second = await drafted(session), await drafted(session)
        await session.call("submit_job", job_id=first, max_cost_usd=4)
        server.finish(next(iter(server.batches)))
        job = await session.call("check_job", job_id=first)
        refused = await session.error("submit_job", job_id=second, max_cost_usd=4)

    assert job["cost"] == f"not known: {server.url[7:-3]} has its own prices; $4.00 agreed, not enforced"
    assert "of which $4.00 is taken" in refused


async def test_nothing_is_no_maximum_for_a_job_whose_cost_is_not_bounded(tmp_path: Path, server: OpenAIServer) -> None:
    """Nobody has agreed to pay when the most is 0, and such a job would pass every limit."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        unpriced = await drafted(session, model="mystery-1")
        unbounded = await drafted(session, parameters={})
        for job_id in (unpriced, unbounded):
            text = await session.error("submit_job", job_id=job_id, max_cost_usd=0)
            assert "max_cost_usd" in text

    assert nothing_was_sent(server)


async def test_unbounded_output_is_said_and_needs_a_maximum(tmp_path: Path, server: OpenAIServer) -> None:
    """The input's price alone would be a promise that nobody keeps."""
    user = User()
    async with in_memory(openai_environment(tmp_path, server, ask_above_usd="0.01"), user=user) as session:
        draft = await session.call("create_batch_file", **DRAFT | {"parameters": {}})
        refused = await session.error("submit_job", job_id=draft["job_id"])
        asked_too_early = list(user.questions)
        job = await session.call("submit_job", job_id=draft["job_id"], max_cost_usd=0.5)

    assert "The output has no limit, so the answers cost more than the input alone." in draft["cost"]
    assert "and more as a batch" in draft["cost"]
    assert refused.startswith(f"Nothing bounds what {draft['job_id']} may cost")
    assert "max_completion_tokens" in refused
    assert asked_too_early == []
    assert "Nothing bounds what" in user.questions[0]
    assert "Spend $0.50 on " in user.questions[0]
    assert job["cost"].endswith("$0.50 agreed, not enforced")


@pytest.mark.parametrize("mode", MODES)
async def test_above_the_threshold_the_user_is_asked_with_all_that_matters(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """Rows, model, host and cost: what a person needs to say yes."""
    user = User()
    async with in_memory(openai_environment(tmp_path, server), mode, user=user) as session:
        job_id = await drafted(session)
        job = await session.call("submit_job", job_id=job_id, max_cost_usd=6)
        again = await session.call("submit_job", job_id=job_id)

    host = server.url.removeprefix("http://").removesuffix("/v1")
    assert user.questions == [
        f"Spend at most $5.00 on {job_id}? It sends 5 rows of 'the rows' to 'gpt-5-mini' at {host!r}.",
    ]
    assert job["status"] == "running"
    assert again["notes"] == ["Already submitted: nothing was sent again."]
    assert server.posts == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "user", [User("decline"), User("cancel"), User(agreed=False)], ids=["decline", "cancel", "not agreed"]
)
async def test_whoever_does_not_agree_pays_nothing_and_may_agree_later(
    tmp_path: Path, server: OpenAIServer, mode: Mode, user: User
) -> None:
    """Three ways to say no, and none of them is the end."""
    async with in_memory(openai_environment(tmp_path, server), mode, user=User(user.action, user.agreed)) as session:
        job_id = await drafted(session)
        text = await session.error("submit_job", job_id=job_id, max_cost_usd=6)
        jobs = await session.call("list_jobs")
    was_sent = not nothing_was_sent(server)
    async with in_memory(openai_environment(tmp_path, server), mode, user=User()) as session:
        job = await session.call("submit_job", job_id=job_id)

    assert text == (
        f"The user declined, so nothing was submitted or spent. {job_id} is unchanged: "
        "call submit_job again if they change their mind, or draft something cheaper."
    )
    assert jobs["jobs"][0]["status"] == "draft"
    assert not was_sent
    assert job["status"] == "running"


@pytest.mark.parametrize("mode", MODES)
async def test_below_the_threshold_nobody_is_asked(tmp_path: Path, server: OpenAIServer, mode: Mode) -> None:
    """A question for every cent would be agreed to unread."""
    user = User("decline")
    async with in_memory(openai_environment(tmp_path, server, ask_above_usd="5"), mode, user=user) as session:
        job = await session.call("submit_job", job_id=await drafted(session))

    assert job["status"] == "running"
    assert user.questions == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_cannot_ask_goes_by_the_operators_limits(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """The assistant asks the user in its own words there; what the operator set holds in any case."""
    async with in_memory(openai_environment(tmp_path, server, max_day_usd="6"), mode) as session:
        first, second = await drafted(session), await drafted(session)
        job = await session.call("submit_job", job_id=first, max_cost_usd=5)
        refused = await session.error("submit_job", job_id=second, max_cost_usd=5)

    assert job["status"] == "running"
    assert "All jobs together may cost $6.00" in refused
    assert server.posts == 1


@pytest.mark.parametrize("mode", MODES)
async def test_nobody_agrees_to_one_thing_and_pays_for_another(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """While the question is open, the assistant may draft something dearer in the place of what is asked about."""
    server.faults.add("batches.create", "insufficient_quota")

    class Slow(User):
        """Thinks for so long that the retry is drafted anew meanwhile."""

        async def __call__(self, context: Any, params: Any) -> Any:
            answer = await super().__call__(context, params)
            if len(self.questions) == 1:
                await session.call("retry_job", job_id=job_id, parameters={"max_completion_tokens": 3_999_000})
            return answer

    user = Slow()
    async with in_memory(openai_environment(tmp_path, server, ask_above_usd="2"), mode, user=user) as session:
        job_id = await drafted(session, parameters={"max_completion_tokens": 300_000})
        await session.call("submit_job", job_id=job_id)
        await session.call("retry_job", job_id=job_id, parameters={"max_completion_tokens": 499_000})
        await session.answer("submit_job", job_id=job_id)

    assert "Spend at most $2.50 on " in user.questions[0]
    was_asked_again = any("Spend at most $20.00 on " in question for question in user.questions)
    assert server.batches_created == 0 or was_asked_again


async def test_a_maximum_below_what_the_input_alone_costs_is_refused(tmp_path: Path, server: OpenAIServer) -> None:
    """Such a job is certain to cost more than was agreed to, whatever its answers are."""
    rows = [{"text": "word " * 9_000}] * 30
    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft = await session.call("create_batch_file", rows=rows, prompt="{{text}}", model="gpt-5-mini")
        text = await session.error("submit_job", job_id=draft["job_id"], max_cost_usd=0.001)

    assert draft["cost"].startswith("$0.0337")
    assert "max_cost_usd" in text
    assert nothing_was_sent(server)


async def test_what_was_agreed_is_not_raised_without_the_user(tmp_path: Path, server: OpenAIServer) -> None:
    """A second submission sends nothing, and is no way to agree to more in the user's name."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, parameters={})
        await session.call("submit_job", job_id=job_id, max_cost_usd=0.5)
        await session.answer("submit_job", job_id=job_id, max_cost_usd=20)
        await session.answer("submit_job", job_id=job_id, max_cost_usd=1_000)
        job = await session.call("check_job", job_id=job_id)

    assert job["cost"].endswith("$0.50 agreed, not enforced")


async def test_a_job_that_ran_before_is_pointed_out_in_the_draft_and_in_the_question(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The same answers twice are money for nothing."""
    user = User()
    async with in_memory(openai_environment(tmp_path, server), user=user) as session:
        first = await drafted(session)
        unsubmitted = await session.call("create_batch_file", **DRAFT)
        await session.call("submit_job", job_id=first)
        again = await session.call("create_batch_file", **DRAFT)
        other = await session.call("create_batch_file", **DRAFT | {"prompt": "Tell {{n}}"})
        await session.call("submit_job", job_id=again["job_id"])

    told = f"The same data, prompt and model were run before, as {first}: get_results gives its answers."
    assert "warnings" not in unsubmitted
    assert again["warnings"] == [told]
    assert "warnings" not in other
    assert "run before" not in user.questions[0]
    assert user.questions[1].endswith(f" The same data and prompt were run before, as {first}.")


async def test_a_job_that_only_begins_like_an_earlier_one_is_not_called_the_same(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """A user who has added rows to a table wants them answered."""
    async with in_memory(openai_environment(tmp_path, server, enqueued_tokens="100")) as session:
        await session.call("submit_job", job_id=await drafted(session), max_cost_usd=5)
        longer = await session.call("create_batch_file", **DRAFT | {"rows": [*ROWS[:4], {"n": 7}]})

    assert longer["parts"] == 2
    assert "warnings" not in longer


@pytest.mark.slow
async def test_a_job_that_ran_in_other_parts_is_pointed_out_too(tmp_path: Path, server: OpenAIServer) -> None:
    """How it was cut, by a limit that was learned since or not, makes no difference to what was asked."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        first = await drafted(session)
        await session.call("submit_job", job_id=first, max_cost_usd=5)
    async with in_memory(env | {"BATCHWRIGHT_ENQUEUED_TOKENS": "100"}) as session:
        again = await session.call("create_batch_file", **DRAFT)

    assert again["parts"] == 2
    assert first in " ".join(again.get("warnings", []))


@pytest.mark.slow
async def test_two_hundred_submissions_at_once_make_one_batch_a_part(tmp_path: Path, server: OpenAIServer) -> None:
    """Clients repeat calls after a broken stream, and assistants forget that they called."""
    async with in_memory(openai_environment(tmp_path, server, enqueued_tokens="200")) as session:
        rows = [{"n": number} for number in range(10)]
        draft = await session.call("create_batch_file", **DRAFT | {"rows": rows})

        async def submit() -> None:
            await session.call("submit_job", job_id=draft["job_id"], max_cost_usd=11)

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(submit)

    assert draft["parts"] == 2
    assert (server.posts, server.uploads) == (2, 2)


@pytest.mark.slow
async def test_sixty_submissions_from_three_processes_make_one_batch(tmp_path: Path, server: OpenAIServer) -> None:
    """Several assistants share one folder of data, and none knows of the others."""
    env = openai_environment(tmp_path, server)
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(over_stdio(env, mode)) for mode in ("auto", "legacy", "auto")]
        job_id = await drafted(sessions[0])
        answers: list[Any] = []

        async def submit(session: Session) -> None:
            answers.append((await session.answer("submit_job", job_id=job_id, max_cost_usd=5))[1])

        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(submit, sessions[number % 3])

    assert all(content and content["status"] == "running" for content in answers)
    assert (server.posts, server.uploads) == (1, 1)


@pytest.mark.parametrize("mode", MODES)
async def test_what_costs_nothing_is_never_asked_about(tmp_path: Path, mode: Mode) -> None:
    """A server on the user's own machine takes no money, whatever the threshold is."""
    user = User("decline")
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url, ask_above_usd="0", max_job_usd="0", max_day_usd="0")
        async with in_memory(env, mode, user=user) as session:
            draft = await session.call("create_batch_file", **DRAFT)
            await session.call("submit_job", job_id=draft["job_id"])
            job = await session.finished(draft["job_id"])

    job_id = draft["job_id"]
    assert draft["next"] == f'try_requests(job_id="{job_id}") shows sample answers; then submit_job(job_id="{job_id}")'
    assert job["counts"] == {"answered": 5}
    assert "cost" not in job
    assert user.questions == []


@pytest.mark.model
async def test_the_embedded_model_is_never_asked_about(tmp_path: Path, model_cache: Path) -> None:
    """It runs on this machine: the draft says that it costs nothing, and nobody has to agree."""
    user = User("decline")
    env = environment(tmp_path, cache_dir=str(model_cache), ask_above_usd="0", max_job_usd="0", max_day_usd="0")
    async with in_memory(env, user=user) as session:
        draft = await session.call("create_batch_file", rows=ROWS, prompt="Say {{n}}")
        submitted = await session.call("submit_job", job_id=draft["job_id"])
        await session.call("cancel_job", job_id=draft["job_id"])

    assert draft["cost"] == "0: it runs on this machine"
    assert submitted["status"] == "running"
    assert user.questions == []


async def test_whoever_pays_more_than_was_agreed_is_told(tmp_path: Path, server: OpenAIServer) -> None:
    """Nothing bounds such answers: what was agreed is then no promise, and is not called one."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft: dict[str, Any] = {**DRAFT, "parameters": {}}
        job_id = (await session.call("create_batch_file", **draft))["job_id"]
        await session.call("submit_job", job_id=job_id, max_cost_usd=0.0001)
        server.answer = lambda _id, _body: "word " * 1_000
        server.finish(next(iter(server.batches)))
        job = await session.finished(job_id)

    assert "$0.0001 agreed, not enforced: " in job["cost"]
    assert "more, since nothing bounds the answers' length" in job["cost"]
    assert "at most" not in job["cost"]
