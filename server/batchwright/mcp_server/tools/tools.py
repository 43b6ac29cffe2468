"""The MCP tools: each is one call into `jobs`, and its answer as a view."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, get_args

import anyio.from_thread
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from batchwright.core.errors import NotAgreed
from batchwright.core.model import Endpoint, Job, UserSays
from batchwright.core.untrusted import one_line
from batchwright.mcp_server.addresses import DASHBOARD
from batchwright.mcp_server.context import App
from batchwright.mcp_server.server import slim_tool
from batchwright.mcp_server.tools.common import Approval, Dollars, JobId, Question, for_page, list_for_page
from batchwright.mcp_server.tools.common import answer as _answer
from batchwright.mcp_server.tools.common import can_ask as _can_ask
from batchwright.mcp_server.tools.common import progress_of as _progress
from batchwright.mcp_server.tools.common import usd as _usd
from batchwright.mcp_server.tools.results import get_results, query_results
from batchwright.mcp_server.tools.trials import TRY, try_requests
from batchwright.mcp_server.views.cost import submit_notes
from batchwright.mcp_server.views.job import DraftView, JobsView, JobView, running_seconds
from batchwright.mcp_server.views.views import CostsView, DeletedView, FilesView, InspectView

READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
ASK = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
DRAFT = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
ADOPT = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
DRAW = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
SAVE = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
END = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
SUBMIT = END
"""What was spent does not come back: clients that let harmless tools pass are to ask."""

CORE: dict[str, Any] = {"anthropic/alwaysLoad": True}
"""Keeps a tool's description loaded in clients that otherwise show names only."""
SHOWN: dict[str, Any] = {"ui": {"resourceUri": DASHBOARD}}
"""Has hosts with MCP Apps show the dashboard beside the answer."""


RetriedOutcome = Literal["refused", "cut_short", "not_fitting", "failed", "expired", "never_ran", "unconfirmed"]

ROWS_A_REPORT = 500
MAX_NOTE_CHARACTERS = 200

FileName = Annotated[str, Field(max_length=1000)]
Source = Annotated[str, Field(max_length=10_000)]
Reading = Annotated[
    dict[str, Any],
    Field(
        description='only if CSV is read wrongly: {"delimiter": ";", "quote": "", "escape": "\\\\", "header": false, '
        '"encoding": "cp1251"}; {"file_column": "file"} adds file names'
    ),
]
Limit = Annotated[int, Field(ge=1, le=100)]
Offset = Annotated[int, Field(ge=0, le=1_000_000_000)]


async def inspect_data(
    ctx: Context["App"],
    source: Annotated[
        Source,
        Field(
            description="CSV, TSV, JSON, JSONL (or .gz), Parquet or Excel (book.xlsx#Sheet) in the workspace; "
            "data/*.csv; or DuckDB SQL: SELECT ... FROM 'a.csv' JOIN 'b.parquet' USING (id). CSV columns are text"
        ),
    ],
    sample_rows: Annotated[int, Field(ge=0, le=20, description="rows to show")] = 3,
    reading: Reading = {},  # noqa: B006  # never changed
) -> Annotated[CallToolResult, InspectView]:
    """Look at data before a job: columns, types, rows, empty cells, longest texts, some rows, the id column."""
    jobs = await ctx.request_context.lifespan_context.jobs()
    profile = await jobs.inspect(source, reading, sample_rows=sample_rows, progress=_progress(ctx))
    return _answer(InspectView.of(profile, was_told=bool(reading)))


async def create_batch_file(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context["App"],
    source: Annotated[Source, Field(description="file, files or SQL, as for inspect_data; or give rows")] = "",
    rows: Annotated[list[dict[str, Any]], Field(description="rows given inline, at most 2000")] = [],  # noqa: B006  # never changed
    batch_file: Annotated[
        FileName, Field(description="a ready-made batch JSONL instead, checked and used as it is")
    ] = "",
    prompt: Annotated[
        str, Field(description="user message for each row, with {{column}}; for embeddings the text")
    ] = "",
    system: Annotated[str, Field(description="system text, may use {{column}}")] = "",
    model: Annotated[str, Field(description="empty: the server's own choice", max_length=200)] = "",
    endpoint: Endpoint = "/v1/chat/completions",
    output_schema: Annotated[
        dict[str, Any], Field(description="plain JSON Schema of an object; each property becomes a result column")
    ] = {},  # noqa: B006  # never changed
    parameters: Annotated[
        dict[str, Any], Field(description='more body fields, like {"temperature": 0, "max_completion_tokens": 200}')
    ] = {},  # noqa: B006  # never changed
    id_column: Annotated[
        str, Field(description="column with unique ids of at most 64 characters; empty: numbered")
    ] = "",
    inputs_per_request: Annotated[
        int, Field(ge=1, le=2048, description="embeddings only: rows packed into one request")
    ] = 1,
    deduplicate: Annotated[bool, Field(description="send identical requests once, joined to all their rows")] = False,  # noqa: FBT002  # named in every call
    reading: Reading = {},  # noqa: B006  # never changed
) -> Annotated[CallToolResult, DraftView]:
    """Make a draft job from rows and a prompt: checks data, prompt and schema, writes the batch file, spends nothing.

    Give exactly one of source, rows and batch_file. Shows the first request as it will be sent.
    """
    from batchwright.jobs.jobs import DraftRequest

    jobs = await ctx.request_context.lifespan_context.jobs()
    request = DraftRequest(
        source=source or None,
        rows=rows,
        batch_file=batch_file or None,
        prompt=prompt or None,
        system=system or None,
        model=model.strip() or None,
        endpoint=endpoint,
        output_schema=output_schema or None,
        parameters=parameters,
        id_column=id_column or None,
        deduplicate=deduplicate,
        inputs_per_request=inputs_per_request,
        reading=reading,
    )

    return _answer(DraftView.of(await jobs.create(request, _progress(ctx))))


async def question_of(
    ctx: Context["App"], job_id: str, max_cost_usd: float | None = None, user_says: str = ""
) -> Question:
    """Find what is to be asked: above the operator's threshold, and for what only the user may decide."""
    jobs = await ctx.request_context.lifespan_context.jobs()
    said = _user_says(user_says)
    return Question(text=jobs.consent.question(job_id, max_cost_usd=_usd(max_cost_usd), user_says=said))


async def asked(
    ctx: Context["App"], question: Annotated[Question, Resolve(question_of)]
) -> Approval | Elicit[Approval]:
    """Ask the user, where the client can."""
    return Elicit(question.text, Approval) if question.text and _can_ask(ctx) else Approval(agreed=True)


async def submit_job(
    ctx: Context["App"],
    job_id: JobId,
    question: Annotated[Question, Resolve(question_of)],
    approval: Annotated[ElicitationResult[Approval], Resolve(asked)],
    max_cost_usd: Annotated[
        Dollars | None,
        Field(description="the most that the user lets it cost; needed where unpriced, or where nobody can be asked"),
    ] = None,
    user_says: Annotated[
        UserSays,
        Field(
            description="only the user's own word: resend an unconfirmed batch, go_on after a freeze, give_up on a "
            "stuck batch"
        ),
    ] = "",
) -> Annotated[CallToolResult, JobView]:
    """Run a draft job or a drafted retry, within the cost that the user agreed to. A second call changes nothing."""
    if not (isinstance(approval, AcceptedElicitation) and approval.data.agreed):
        raise NotAgreed(
            f"The user did not agree, so nothing was submitted and nothing was spent. {job_id} stays as it is: "
            "call submit_job again when they have changed their mind, or draft something cheaper."
        )
    app = ctx.request_context.lifespan_context
    jobs = await app.jobs()
    most, said = _usd(max_cost_usd), _user_says(user_says)
    if most is None and not _can_ask(ctx):
        jobs.consent.refuse_unnamed(job_id, user_says=said)
    now_asked = jobs.consent.question(job_id, max_cost_usd=most, user_says=said)
    if _can_ask(ctx) and now_asked not in {question.text, None}:
        raise NotAgreed(f"{job_id} was changed while the user was asked, so nothing was submitted. Submit it again.")
    job, was_submitted = await jobs.submit(job_id, max_cost_usd=most, user_says=said)
    was_asked = question.text is not None and _can_ask(ctx)
    notes = submit_notes(job, job.agreed_usd if was_asked else most, was_submitted=was_submitted)
    return _answer(JobView.of(job, seconds=_running_seconds(app, job), notes=notes), meta=for_page(ctx, jobs, job))


async def check_job(
    ctx: Context["App"],
    job_id: JobId,
    wait_seconds: Annotated[int, Field(ge=0, le=600, description="wait for the end")] = 0,
) -> Annotated[CallToolResult, JobView]:
    """See how a job stands: rows by outcome, rate, time left, what went wrong. Can wait for the end, with progress."""
    app = ctx.request_context.lifespan_context
    jobs = await app.jobs()

    async def on_job(job: Job) -> None:
        done = job.source.rows - job.counts["running"]
        note = next((f"; {one_line(part.note, MAX_NOTE_CHARACTERS)}" for part in job.parts if part.note), "")
        await ctx.report_progress(done, job.source.rows, f"{done:,} of {job.source.rows:,} rows done{note}")

    job = await jobs.check(job_id, wait_seconds=wait_seconds, on_job=on_job)
    problems = await jobs.failures.of(job)
    view = JobView.of(job, seconds=_running_seconds(app, job), problems=problems)
    return _answer(view, meta=for_page(ctx, jobs, job))


async def list_jobs(ctx: Context["App"], limit: Limit = 20, offset: Offset = 0) -> Annotated[CallToolResult, JobsView]:
    """Find jobs again, newest first, also of earlier conversations; and batches at the provider made elsewhere."""
    jobs = await ctx.request_context.lifespan_context.jobs()
    page = await jobs.list(limit=limit, offset=offset)
    return _answer(JobsView.of(page, offset=offset), meta=list_for_page(ctx, page.jobs))


async def adopt_batch(
    ctx: Context["App"], batch_id: Annotated[str, Field(description="from list_jobs: others", max_length=200)]
) -> Annotated[CallToolResult, JobView]:
    """Take up a batch that was made elsewhere as a job: watch it, and get its results. Sends nothing."""
    app = ctx.request_context.lifespan_context
    jobs = await app.jobs()
    job = await jobs.adopt(batch_id)
    return _answer(JobView.of(job, seconds=_running_seconds(app, job)), meta=for_page(ctx, jobs, job))


async def compare_costs(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context["App"],
    job_id: Annotated[str, Field(description="a drafted or run job; or give rows and tokens", max_length=80)] = "",
    rows: Annotated[int | None, Field(description="how many requests")] = None,
    input_tokens: Annotated[int | None, Field(description="of one request")] = None,
    output_tokens: Annotated[int | None, Field(description="of one request")] = None,
    models: Annotated[list[str], Field(description="empty: some of OpenAI's, and the job's")] = [],  # noqa: B006  # never changed
    chart: Annotated[bool, Field(description="show a PNG; an image takes many tokens")] = False,  # noqa: FBT002  # a tool's argument
    save_chart_as: Annotated[FileName, Field(description="a new .png in the workspace")] = "",
) -> Annotated[CallToolResult, CostsView]:
    """Compare what a job, or so many tokens, costs on several models, standard and as a batch. Spends nothing."""
    from batchwright.jobs.costs import CostRequest

    jobs = await ctx.request_context.lifespan_context.jobs()
    request = CostRequest(job_id or None, rows, input_tokens, output_tokens, models)

    def on_rows(done: int, total: int) -> None:
        anyio.from_thread.run(ctx.report_progress, done, total, f"{done:,} of {total:,} requests counted")

    compared = await jobs.costs.compare(request, on_rows, chart=chart, save_chart_as=save_chart_as or None)
    return _answer(CostsView.of(compared), image=compared.chart if chart else None)


async def retry_job(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context["App"],
    job_id: JobId,
    outcomes: Annotated[
        list[RetriedOutcome],
        Field(
            description="rows to retry; default failed, expired, never_ran. unconfirmed ones may be paid twice",
            max_length=7,
        ),
    ] = [],  # noqa: B006  # never changed
    prompt: Annotated[str, Field(description="a new prompt; empty: as before")] = "",
    system: Annotated[str, Field(description="a new system text; empty: as before")] = "",
    model: Annotated[str, Field(description="another model; empty: as before", max_length=200)] = "",
    parameters: Annotated[dict[str, Any], Field(description="body fields to change; null removes one")] = {},  # noqa: B006  # never changed
) -> Annotated[CallToolResult, DraftView]:
    """Draft a new round over an ended job's rows without a good answer, mended if wanted; submit_job then sends it.

    The results of all rounds join into one. Spends nothing.
    """
    from batchwright.jobs.retry import RETRIED, Mending

    jobs = await ctx.request_context.lifespan_context.jobs()
    mending = Mending(
        outcomes=tuple(dict.fromkeys(outcomes)) or RETRIED,
        prompt=prompt or None,
        system=system or None,
        model=model.strip() or None,
        parameters=parameters,
    )

    def on_rows(done: int, total: int) -> None:
        if done % ROWS_A_REPORT == 0:
            anyio.from_thread.run(ctx.report_progress, done, total, f"{done:,} of {total:,} requests written")

    draft = await jobs.retry(job_id, mending, on_rows)
    return _answer(DraftView.of(draft), meta=for_page(ctx, jobs, jobs.job(job_id)))


async def cancel_job(ctx: Context["App"], job_id: JobId) -> Annotated[CallToolResult, JobView]:
    """End a running job early: what was answered is kept. A draft, or a drafted retry, is discarded with its files."""
    app = ctx.request_context.lifespan_context
    jobs = await app.jobs()
    if discarded := await jobs.discard(job_id):
        return _answer(JobView.discarded(discarded))
    job = await jobs.cancel(job_id)
    return _answer(JobView.of(job, seconds=_running_seconds(app, job)), meta=for_page(ctx, jobs, job))


async def list_files(
    ctx: Context["App"], limit: Limit = 20, offset: Offset = 0
) -> Annotated[CallToolResult, FilesView]:
    """See what lies at the provider of batches: input and result files, their size, age and job."""
    jobs = await ctx.request_context.lifespan_context.jobs()
    return _answer(FilesView.of(await jobs.files.all(), limit=limit, offset=offset))


async def deletion_of(ctx: Context["App"], job_id: str = "", file_ids: list[str] = []) -> Question:  # noqa: B006  # never changed
    """Find what is to be asked before files are deleted; nothing where the client cannot ask: the results are safe."""
    jobs = await ctx.request_context.lifespan_context.jobs()
    text = await jobs.files.question(job_id=job_id or None, file_ids=file_ids) if _can_ask(ctx) else None
    return Question(text=text)


async def asked_to_delete(question: Annotated[Question, Resolve(deletion_of)]) -> Approval | Elicit[Approval]:
    """Ask the user."""
    return Elicit(question.text, Approval) if question.text else Approval(agreed=True)


async def delete_files(
    ctx: Context["App"],
    question: Annotated[Question, Resolve(deletion_of)],
    approval: Annotated[ElicitationResult[Approval], Resolve(asked_to_delete)],
    job_id: Annotated[str, Field(description="all files of this job; or give file_ids", max_length=80)] = "",
    file_ids: Annotated[list[str], Field(description="ids from list_files", max_length=1000)] = [],  # noqa: B006  # never changed
) -> Annotated[CallToolResult, DeletedView]:
    """Delete files at the provider, only of ended jobs whose results are safe here. Asks the user, where possible."""
    if not (isinstance(approval, AcceptedElicitation) and approval.data.agreed):
        raise NotAgreed("The user did not agree, so no file was deleted. Leave the files, or name others.")
    jobs = await ctx.request_context.lifespan_context.jobs()
    files = await jobs.files.delete(job_id=job_id or None, file_ids=file_ids, agreed=question.text)
    return _answer(DeletedView.of(files))


TOOLS: tuple[tuple[Callable[..., Awaitable[CallToolResult]], str, ToolAnnotations, dict[str, Any] | None], ...] = (
    (inspect_data, "Inspect data", READ, CORE),
    (create_batch_file, "Create batch file", DRAFT, CORE),
    (try_requests, "Try requests", TRY, None),
    (submit_job, "Submit job", SUBMIT, CORE),
    (check_job, "Check job", ASK, CORE | SHOWN),
    (list_jobs, "List jobs", ASK, SHOWN),
    (adopt_batch, "Adopt batch", ADOPT, None),
    (get_results, "Get results", SAVE, SHOWN),
    (query_results, "Query results", SAVE, None),
    (compare_costs, "Compare costs", DRAW, SHOWN),
    (retry_job, "Retry job", DRAFT, None),
    (cancel_job, "Cancel job", END, None),
    (list_files, "List files", ASK, None),
    (delete_files, "Delete files", END, None),
)


def all_tools() -> list[Tool]:
    """Give the tools for a server."""
    return [
        slim_tool(function, title=title, annotations=annotations, meta=meta)
        for function, title, annotations, meta in TOOLS
    ]


def _user_says(word: str) -> UserSays:
    return word if word in get_args(UserSays) else ""  # pyright: ignore[reportReturnType]  # narrowed by the set


def _running_seconds(app: App, job: Job) -> float | None:
    return running_seconds(job, app.now())
