"""The costs of a job, or of rows of a given size, on several models; each tokenizer counts the requests anew."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from batchwright.core.calls import OPEN, Call
from batchwright.core.errors import InvalidInput, MissingExtra, NotReady
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import Job, Part
from batchwright.costs.chart_process import draw
from batchwright.costs.comparison import (
    CHAT_MODELS,
    EMBEDDING_MODELS,
    MAX_TOKENS,
    Comparison,
    Load,
    MeanOutput,
    OutputBasis,
    check,
    compare,
    compare_tokens,
    load_of,
    models_to_compare,
    prices_of,
)
from batchwright.costs.tokens import Encoding, RequestTokens, encoding_of, is_encoding_known
from batchwright.requests.measure import Measure
from batchwright.requests.parts import OnRows

if TYPE_CHECKING:
    from batchwright.core.workspace import Workspace
    from batchwright.journal.journal import Journal

ROWS_A_REPORT = 500


@dataclass(frozen=True, slots=True)
class CostRequest:
    """What to compare: the requests of a job, or *rows* requests with the given tokens each.

    Attributes:
        output_tokens: Of one request; for a job, in place of those measured or allowed.
        models: Empty: some of OpenAI's, and the job's own.
    """

    job_id: str | None = None
    rows: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    models: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison, and its chart as a PNG if one was wanted and could be drawn.

    Attributes:
        notes: About the job's provider and the chart.
    """

    comparison: Comparison
    job: Job | None
    notes: tuple[str, ...] = ()
    chart: bytes | None = None
    saved_as: str | None = None


class Comparing:
    """Compares costs, and draws them."""

    def __init__(
        self,
        journal: "Journal",
        folders: JobFolders,
        workspace: "Workspace",
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._now = now
        self._journal = journal
        self._folders = folders
        self._workspace = workspace
        self._drawing = anyio.Lock()

    async def compare(
        self, request: CostRequest, on_rows: OnRows, *, chart: bool = False, save_chart_as: str | None = None
    ) -> Compared:
        """Compare the costs, and draw them if wanted; a chart that cannot be drawn becomes a note.

        Raises:
            NotFound: There is no such job.
            NotReady: The requests of the job are gone.
            InvalidInput: The numbers or the models cannot be used, or the chart cannot be saved there.
        """
        target = self._target(save_chart_as) if save_chart_as else None
        if request.job_id is None:
            compared = Compared(compare_rows(request, self._now().date()), None)
        else:
            if request.rows is not None or request.input_tokens is not None:
                raise InvalidInput("A job has its own rows and input_tokens. Give job_id, or rows and input_tokens.")
            check("output_tokens", request.output_tokens or 0, least=0, most=MAX_TOKENS)
            job = self._journal.job(request.job_id)
            comparison = await anyio.to_thread.run_sync(self._of_job, job, request, on_rows)
            compared = Compared(comparison, job, tuple(_provider_notes(job)))
        return await self._draw(compared, target) if chart or target else compared

    def _of_job(self, job: Job, request: CostRequest, on_rows: OnRows) -> Comparison:
        paths = self._paths(job)
        default = EMBEDDING_MODELS if job.recipe.endpoint == "/v1/embeddings" else CHAT_MODELS
        own = (job.provider.model,) if job.provider.charges != "nothing" else ()
        prices = prices_of(models_to_compare(request.models, (*own, *default)), job.recipe.endpoint)
        basis, output = _output(job, request.output_tokens)
        known = [model for model in prices if prices[model]]
        tokenizers = {_tokenizer(model): model for model in known}
        total, numbers = len(tokenizers) * sum(part.requests for part in _first_parts(job)), count(1)

        def tokens(model: str) -> "Iterator[RequestTokens]":
            measure = Measure(model, job.recipe.endpoint)
            for line, number in zip(chain.from_iterable(map(measure.lines, paths)), numbers, strict=False):
                yield line.tokens
                if number % ROWS_A_REPORT == 0:
                    on_rows(number, total)

        counted = {tokenizer: load_of(tokens(model), output) for tokenizer, model in tokenizers.items()}
        loads = {model: counted[_tokenizer(model)] for model in known}
        elsewhere = None if job.provider.is_openai else job.provider.model
        subject, today = _subject(job, loads.values()), self._now().date()
        return compare(prices, loads, subject=subject, output=basis, today=today, elsewhere=elsewhere)

    def _paths(self, job: Job) -> list[Path]:
        """Return the files that hold every request once: those of the first round."""
        parts = _first_parts(job)
        paths = list(map(self._folders.of(job.id).requests, parts))
        if job.source.kind == "results" or not all(path.exists() for path in paths):
            ran = sum(part.completed for part in parts)
            means = [OPEN, OPEN]
            if ran and job.input_tokens:
                means = [round(job.input_tokens / ran), round(job.output_tokens / ran)]
            use = Call("compare_costs", rows=job.source.rows, input_tokens=means[0], output_tokens=means[1])
            raise NotReady(f"The requests of {job.id} are gone, so they cannot be counted again. Use {use}.")
        return paths

    def _target(self, name: str) -> Path:
        path = self._workspace.file_to_write(name, overwrite=True)
        if path.suffix.lower() != ".png":
            raise InvalidInput(f"A chart is a PNG file, but {name!r} does not end in .png. Choose a name that does.")
        if path.exists():
            raise InvalidInput(f"{name!r} already exists, and a chart never replaces a file. Choose another name.")
        return path

    async def _draw(self, compared: Compared, target: Path | None) -> Compared:
        if not compared.comparison.costs:
            return replace(compared, notes=(*compared.notes, "No chart was drawn: no price is known."))
        try:
            # Each takes a process, so only one runs at a time, however many clients ask.
            async with self._drawing:
                chart = await draw(compared.comparison)
        except (MissingExtra, NotReady) as error:
            return replace(compared, notes=(*compared.notes, str(error)))
        if target is not None:
            await anyio.to_thread.run_sync(self._save, chart, target)
        return replace(compared, chart=chart, saved_as=str(target) if target else None)

    def _save(self, chart: bytes, target: Path) -> None:
        with self._workspace.new_file(target, overwrite=False) as file:
            file.write(chart)


def compare_rows(request: CostRequest, today: date) -> Comparison:
    """Compare the costs of rows with the given tokens each, which needs no job.

    Raises:
        InvalidInput: A number is missing or out of range, or there are too many models.
    """
    return compare_tokens(
        request.models,
        rows=request.rows,
        input_tokens=request.input_tokens,
        output_tokens=request.output_tokens,
        today=today,
    )


def _first_parts(job: Job) -> list[Part]:
    """Return the parts of the first round, which hold every request once."""
    return [part for part in job.parts if part.round == 1 and part.state != "split"]


def _tokenizer(model: str) -> tuple[Encoding, bool]:
    return encoding_of(model), is_encoding_known(model)


def _output(job: Job, given: int | None) -> tuple[OutputBasis, MeanOutput | None]:
    """Return the output tokens to assume: those given, otherwise those measured, otherwise the most allowed."""
    if given is not None:
        return "given", MeanOutput(given)
    ran = sum(part.completed for part in job.parts if part.state != "split")
    if job.ended_at is not None and ran and job.output_tokens:
        return "measured", MeanOutput(job.output_tokens, ran)
    return "bound", None


def _subject(job: Job, loads: Iterable[Load]) -> str:
    found = list(loads)
    requests = sum(part.requests for part in _first_parts(job))
    words = f"{requests:,} {'requests' if requests != 1 else 'request'} of {job.id}"
    if not found:
        return words
    least, most = min(load.mean[0] for load in found), max(load.mean[0] for load in found)
    into = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    out = "" if found[0].is_open else f" and {found[0].mean[1]:,} output"
    return f"{words}, on average {into} input{out} tokens"


def _provider_notes(job: Job) -> Iterator[str]:
    provider = job.provider
    match provider.charges:
        case "nothing":
            yield f"{job.id} itself is answered by {provider.sentence}. These are OpenAI's prices."
        case "unknown":
            yield f"These are OpenAI's prices; those of {provider.host}, which answers {job.id}, are not known here."
        case "standard":
            yield f"{job.id} is answered one request at a time, at standard prices."
        case "batch":
            pass
    if any(part.round > 1 for part in job.parts):
        yield "The requests are those of the first round, without the changes of a retry."
