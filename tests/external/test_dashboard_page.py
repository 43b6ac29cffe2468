"""The dashboard in a real host in a real browser, beside a real server: what it shows, what its buttons do."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser_host import Host, hosting, marks
from tests.support.endpoint import Endpoint, running_endpoint
from tests.support.openai_server import running_openai
from tests.support.session import Session, environment, in_memory, openai_environment
from tests.support.waiting import until

pytestmark = marks

ROWS = 60
LABELS = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
HOSTILE = [
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "<svg onload=window.pwned=1><style>*{display:none}</style>",
    "javascript:window.pwned=1",
    "\u202eevil\u202c\u200b\u2066hidden\u2069",
    "y" * 50_000,
    "{{constructor.constructor('window.pwned=1')()}}",
]
VIEWS = ("list_jobs", "check_job", "get_results", "compare_costs")


@dataclass
class Desk:
    """A host, and an assistant beside it that talks to the same journal."""

    host: Host
    session: Session
    endpoint: Endpoint
    work: Path

    async def drafted(self, **more: Any) -> str:
        """Draft a job over the rows, and give its id."""
        draft = {"source": "rows.csv", "prompt": "say {{text}}", "model": "m", "id_column": "id"}
        return (await self.session.call("create_batch_file", **draft | more))["job_id"]

    async def running(self, **more: Any) -> str:
        """Have a job run that waits at its endpoint."""
        self.endpoint.gate.clear()
        job_id = await self.drafted(**more)
        await self.session.call("submit_job", job_id=job_id)

        async def is_waiting() -> bool:
            return self.endpoint.in_flight > 0

        await until(is_waiting)
        return job_id

    async def ended(self, **more: Any) -> dict[str, Any]:
        """Run a job to its end."""
        job_id = await self.drafted(**more)
        await self.session.call("submit_job", job_id=job_id)
        return await self.session.finished(job_id)


@asynccontextmanager
async def desk(tmp_path: Path, *, failing: int = 0) -> AsyncGenerator[Desk]:
    """Set a desk up; the first *failing* rows are refused once by the endpoint."""
    statuses = {f"say row {number}": [400] for number in range(failing)}
    async with running_endpoint(statuses=statuses) as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url, concurrency="8")
        work = tmp_path / "work"
        lines = "".join(f"{number},row {number}\n" for number in range(ROWS))
        (work / "rows.csv").write_text("id,text\n" + lines, encoding="utf-8")
        async with in_memory(env) as session, hosting(env) as host:
            yield Desk(host, session, endpoint, work)


async def test_a_running_job_is_waited_for_and_watched_to_its_end(tmp_path: Path) -> None:
    """It is what a person opens it for."""
    async with desk(tmp_path) as at:
        job_id = await at.running()
        await at.host.do("open", tool="check_job", args={"job_id": job_id})
        await at.host.texts("0% done", "60 running", "m at 127.0.0.1", "rows.csv")
        await at.host.do("click", name="Watch live")
        await at.host.texts("Stop watching")
        at.endpoint.gate.set()
        await at.host.texts("All rows answered", "60 answered", "View results", "Progress over time")
        said = await at.host.do("run", script="document.getElementById('status').textContent")
        calls = await at.host.calls()
        await at.host.assert_quiet()

    assert {name for name, _ in calls} == {"check_job"}
    assert all(arguments["wait_seconds"] <= 20 for _, arguments in calls)
    assert said == "The job has finished: completed. 60 answered, of 60 rows."


async def test_cancelling_asks_first_and_then_ends_the_job(tmp_path: Path) -> None:
    """One press must not end what took hours."""
    async with desk(tmp_path) as at:
        job_id = await at.running()
        await at.host.do("open", tool="check_job", args={"job_id": job_id})
        await at.host.do("click", name="Cancel …")
        await at.host.texts("Cancel this job?", "Finished answers are kept")
        await at.host.do("press", key="Enter")
        before = await at.host.calls()
        await at.host.do("press", key="Escape")
        await at.host.do("click", name="Cancel …")
        await at.host.do("click", name="Cancel the job")
        await at.host.do("until", script="document.querySelector('.panel').hidden")
        # The job runs in the assistant's server, which has to see what this one wrote.
        at.endpoint.seconds = 1.0
        at.endpoint.gate.set()
        job = await at.session.finished(job_id)
        await at.host.do("click", name="Refresh")
        await at.host.texts("never ran")
        await at.host.assert_quiet()

    assert before == []
    assert job["status"] == "cancelled"
    assert job["counts"]["never_ran"] > 0


async def test_a_retry_is_drafted_shown_and_only_then_submitted(tmp_path: Path) -> None:
    """Each step says what the next one does, and the last one what it costs."""
    async with desk(tmp_path) as at:
        good = json.dumps({"label": "a"})
        at.endpoint.answer = lambda text: "no JSON" if text in {f"say row {number}" for number in range(4)} else good
        job = await at.ended(output_schema=LABELS)
        at.endpoint.answer = lambda _: good
        await at.host.do("open", tool="check_job", args={"job_id": job["job_id"]})
        await at.host.texts("What went wrong", "4 rows not fitting", "A retry helps.")
        await at.host.do("click", name=f"Retry 4 rows: {job['problems'][0]['problem']}")
        await at.host.texts("This drafts a new round for these rows and spends nothing.", "Rows that are not fitting")
        await at.host.do("click", name="Draft the retry")
        await at.host.texts("Submit this draft?", "4 requests, answered by m at 127.0.0.1")
        drafted = await at.session.call("check_job", job_id=job["job_id"])
        await at.host.do("click", name="Run it: cost not counted")
        await at.host.do("until", script="document.querySelector('.panel').hidden")
        await at.session.finished(job["job_id"])
        await at.host.do("click", name="Refresh")
        await at.host.texts("All rows answered", "60 answered")
        calls = await at.host.calls()
        await at.host.assert_quiet()

    assert drafted["counts"] == {"answered": 56, "not_fitting": 4}
    changing = [(name, arguments) for name, arguments in calls if name not in {"check_job"}]
    assert changing == [
        ("retry_job", job["problems"][0]["remedy"]["arguments"]),
        ("submit_job", {"job_id": job["job_id"]}),
    ]


async def test_a_draft_that_costs_money_is_submitted_by_a_button_that_says_how_much(tmp_path: Path) -> None:
    """What is pressed is what is agreed to; a key that is held down, or one press, spends nothing."""
    async with running_openai() as server:
        env = openai_environment(tmp_path, server, max_job_usd="2")
        (tmp_path / "work" / "rows.csv").write_text("text\n" + "row\n" * 20, encoding="utf-8")
        draft = {"source": "rows.csv", "prompt": "{{text}}", "model": "gpt-5-mini"}
        async with in_memory(env) as session, hosting(env) as host:
            bounded = await session.call("create_batch_file", **draft, parameters={"max_completion_tokens": 2_000})
            unbounded = await session.call("create_batch_file", **draft)
            await host.do("open", tool="check_job", args={"job_id": bounded["job_id"]})
            await host.texts("This draft, at most", "of $2.00 per job", "All jobs in 24 hours")
            await host.do("click", name="Submit …")
            await host.texts("It costs at most")
            await host.do("press", key="Enter", times=3)
            before = (await host.calls(), server.posts)
            await host.do("click", name="Run it for at most $0.05")
            await host.texts("running", "of $0.05 agreed")
            await host.do("open", tool="check_job", args={"job_id": unbounded["job_id"]})
            await host.do("click", name="Submit …")
            await host.texts("The cost cannot be bounded")
            name = "Amount you agree to, in US dollars"
            await host.do("fill", name=name, role="spinbutton", value="0.5")
            await host.do("click", name="Run it for $0.50")
            await host.texts("running")
            calls = await host.calls()
            await host.assert_quiet()

    assert before == ([], 0)
    assert calls == [("submit_job", {"job_id": unbounded["job_id"], "max_cost_usd": 0.5})]
    assert server.posts == 2


async def test_results_are_paged_filtered_and_saved_as_a_file(tmp_path: Path) -> None:
    """Without the assistant, which need not read them."""
    async with desk(tmp_path, failing=3) as at:
        job = await at.ended()
        await at.host.do("open", tool="check_job", args={"job_id": job["job_id"]})
        await at.host.do("click", name="View results")
        await at.host.texts("Rows 1 to 20 of 60", "answer to say row 19")
        await at.host.do("click", name="Next")
        await at.host.texts("Rows 21 to 40 of 60", "answer to say row 39")
        await at.host.do("choose", name="Rows", value="failed")
        await at.host.texts("Rows 1 to 3 of 3", "told to fail")
        await at.host.do("click", name="Save results …")
        await at.host.do("fill", name="File in the workspace (.csv, .xlsx, .jsonl or .parquet)", value="mine.jsonl")
        await at.host.do("click", name="Save")
        await at.host.texts("All rows were saved to")
        await at.host.do("click", name="Close")
        await at.host.do("click", name="Save results …")
        await at.host.do("fill", name="File in the workspace (.csv, .xlsx, .jsonl or .parquet)", value="../x.csv")
        await at.host.do("click", name="Save")
        await at.host.do("until", script="document.getElementById('alert').innerText.length > 20")
        await at.host.assert_quiet()
        saved = (at.work / "mine.jsonl").read_text(encoding="utf-8").splitlines()

    assert len(saved) == ROWS
    assert not (at.work.parent / "x.csv").exists()


async def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    """Cells, answers and names come from anybody: nothing in them may run, hide, lead away or break the page."""
    async with desk(tmp_path) as at:
        name = "<b onmouseover=window.pwned=1>\u202ecol"
        rows = [{"id": str(n), name: HOSTILE[n % len(HOSTILE)]} for n in range(len(HOSTILE))]
        at.endpoint.answer = lambda text: json.dumps({"label": HOSTILE[int(text)]})
        at.endpoint.statuses = {"3": [400]}
        at.endpoint.trouble = HOSTILE[1]
        job = await at.ended(source="", rows=rows, prompt="{{id}}", output_schema=LABELS)
        for tool in VIEWS[:3]:
            arguments = {} if tool == "list_jobs" else {"job_id": job["job_id"]}
            shown = await at.host.do("open", tool=tool, args=arguments | ({"limit": 20} if "get" in tool else {}))
            text = await at.host.do("text")
            # The server cleans what it gives; the page must hold also where it is given what is not.
            await at.host.do("reshow", result={**shown, "structuredContent": poisoned(shown["structuredContent"])})
            await at.host.do("until", script="document.body.innerText.includes('window.pwned')")
            assert await at.host.do("run", script="window.pwned") is None
            odd = "main script, main img, main style, main b, main a, [onload], [href], [src]"
            assert await at.host.do("run", script=f"document.querySelectorAll('{odd}').length") == 0
            raw = await at.host.do("run", script="document.body.textContent")
            assert not {"\u202e", "\u202c", "\u200b", "\u2066"} & set(raw)
            assert len(raw) < 100_000
            assert await at.host.do("run", script="document.documentElement.scrollWidth <= innerWidth")
            assert text
            await at.host.assert_quiet()


def poisoned(value: Any) -> Any:
    """Put hostile texts into every text of an answer but those that choose what is shown."""
    if isinstance(value, str):
        return f"{value} {' '.join(HOSTILE)}"
    if isinstance(value, list):
        return [poisoned(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: poisoned(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


async def test_only_the_parent_is_listened_to(tmp_path: Path) -> None:
    """Any window may send a message to any other."""
    async with desk(tmp_path) as at:
        await at.host.do("open", tool="list_jobs")
        fake = {"jobsonrpc": 1, "method": "ui/notifications/tool-result"}
        forged = json.dumps(
            fake | {"jsonrpc": "2.0", "params": {"structuredContent": {"jobs": [], "total": 0, "notes": ["forged"]}}}
        )
        await at.host.do("run", script=f"postMessage({forged}, '*'), new Promise((done) => setTimeout(done, 50))")
        assert "forged" not in await at.host.do("text")


async def test_a_host_that_only_shows_gets_the_first_answer_and_what_to_ask_for(tmp_path: Path) -> None:
    """Not every host lets pages call tools, says its theme, or changes a frame's size."""
    async with desk(tmp_path) as at:
        job = await at.ended()
        await at.host.do(
            "open", tool="check_job", args={"job_id": job["job_id"]}, capabilities={}, theme=None, scheme="dark"
        )
        await at.host.texts("60 answered", "Buttons do not work in this host. Ask the assistant for: get_results")
        buttons = await at.host.do("run", script="document.querySelectorAll('button').length")
        paper = await at.host.do("run", script="getComputedStyle(document.body).backgroundColor")
        await at.host.assert_quiet()

    assert buttons == 0
    assert paper == "rgb(21, 22, 23)"


async def test_the_theme_is_the_hosts_also_when_it_changes(tmp_path: Path) -> None:
    """A white page in a dark conversation hurts."""
    async with desk(tmp_path) as at:
        await at.host.do("open", tool="list_jobs", theme="light", scheme="dark")
        light = await at.host.do("run", script="getComputedStyle(document.body).backgroundColor")
        await at.host.do("context", context={"theme": "dark"})
        await at.host.do("until", script="document.documentElement.dataset.theme === 'dark'")
        dark = await at.host.do("run", script="getComputedStyle(document.body).backgroundColor")

    assert (light, dark) == ("rgb(246, 246, 243)", "rgb(21, 22, 23)")


async def test_everything_can_be_done_with_the_keyboard_alone(tmp_path: Path) -> None:
    """Each control is reached in the order in which it is read, can be seen to be, and none holds the focus fast."""
    async with desk(tmp_path) as at:
        await at.ended()
        await at.host.do("open", tool="list_jobs")
        focused = "document.activeElement.textContent || document.activeElement.tagName"
        await at.host.do("run", script="window.focus()")
        walked: list[str] = []
        for _ in range(3):
            await at.host.do("press", key="Tab")
            walked.append(await at.host.do("run", script=focused))
        ring = await at.host.do("run", script="getComputedStyle(document.activeElement).outlineStyle")
        await at.host.do("press", key="Enter")
        await at.host.texts("All rows answered")
        heading = await at.host.do("run", script="document.activeElement.tagName")
        await at.host.do("press", key="Tab")
        first = await at.host.do("run", script=focused)
        await at.host.do("press", key="Enter")
        await at.host.texts("Results of rows.csv")
        await at.host.do("press", key="Tab", times=2)
        await at.host.do("press", key="Enter")
        await at.host.texts("Save all results")
        await at.host.do("press", key="Tab", times=3)
        save = await at.host.do("run", script=focused)
        await at.host.do("press", key="Escape")
        back = await at.host.do("run", script=focused)
        order = "[...document.querySelectorAll('[tabindex]')].every((element) => element.tabIndex <= 0)"
        assert await at.host.do("run", script=order)

    assert walked == ["All jobs", "Refresh", "rows.csv"]
    assert (ring, heading, first) == ("solid", "H2", "View results")
    assert (save, back) == ("Save", "Save results …")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_no_view_keeps_people_out(tmp_path: Path, theme: str) -> None:
    """Names, roles, contrast and order as axe checks them, at the width of a telephone and of a desk."""
    async with desk(tmp_path, failing=3) as at:
        await at.drafted()
        job = await at.ended(output_schema=LABELS)
        waiting = await at.running()
        arguments: dict[str, dict[str, Any]] = {
            "list_jobs": {},
            "check_job": {"job_id": job["job_id"]},
            "get_results": {"job_id": job["job_id"], "limit": 20},
            "compare_costs": {"rows": 50_000, "input_tokens": 2048, "output_tokens": 158},
        }
        for width in (320, 1200):
            for tool, given in [*arguments.items(), ("check_job", {"job_id": waiting})]:
                await at.host.do("open", tool=tool, args=given, theme=theme, width=width)
                assert await at.host.do("axe") == [], (tool, width)
                assert await at.host.do("run", script="document.documentElement.scrollWidth <= innerWidth"), tool
                await at.host.assert_quiet()
        at.endpoint.gate.set()


async def test_motion_is_spared_where_it_is_not_wanted(tmp_path: Path) -> None:
    """It makes some people ill."""
    async with desk(tmp_path) as at:
        job = await at.ended()
        await at.host.do("open", tool="check_job", args={"job_id": job["job_id"]}, motion="reduce")
        piece = "document.querySelector('.bar span')"
        assert await at.host.do("run", script=f"getComputedStyle({piece}).transitionProperty") == "none"
