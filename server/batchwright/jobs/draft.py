"""From a user's request to a draft job: inspect the data, find the source, build the recipe, choose the provider."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from batchwright.checks import schema
from batchwright.checks.names import misspelt
from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import InvalidInput
from batchwright.core.job_folder import JobFolder, JobFolders
from batchwright.core.model import Endpoint, Json, Limits, ProviderInfo, Recipe
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import model_name
from batchwright.costs.prices import closest_priced_name
from batchwright.jobs.batch_file import adopt_batch_file, batch_file_recipe, check_batch_file
from batchwright.jobs.build import Draft, DraftPlan, draft
from batchwright.jobs.preflight import DraftWarning
from batchwright.providers.shutdown_dates import ShutdownDates
from batchwright.tables.inspection import Profile, profile
from batchwright.tables.rows import write_rows
from batchwright.tables.source import DataFile, Origin, find, one_file

if TYPE_CHECKING:
    from batchwright.core.workspace import Workspace
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI

MAX_INLINE_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """What the user wants drafted; exactly one of *source*, *rows* and *batch_file* is given."""

    source: str | None = None
    rows: Sequence[Mapping[str, Json]] = ()
    batch_file: str | None = None
    prompt: str | None = None
    system: str | None = None
    model: str | None = None
    endpoint: Endpoint = "/v1/chat/completions"
    output_schema: Mapping[str, Json] | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])
    id_column: str | None = None
    deduplicate: bool = False
    inputs_per_request: int = 1
    reading: Mapping[str, Json] = field(default_factory=dict[str, Json])


class Drafting:
    """Describes data and drafts jobs."""

    def __init__(  # noqa: PLR0913  # a draft needs everything that a job is made of
        self,
        journal: "Journal",
        api: "BatchAPI",
        folders: JobFolders,
        workspace: "Workspace",
        shutdown_dates: ShutdownDates,
        *,
        limits_of: Callable[[ProviderInfo], Limits],
        now: Callable[[], datetime],
        on_point: OnPoint,
    ) -> None:
        self._journal = journal
        self._api = api
        self._folders = folders
        self._limits_of = limits_of
        self._workspace = workspace
        self._shutdown_dates = shutdown_dates
        self._now = now
        self._on_point = on_point

    async def inspect(
        self, source: str, reading: Mapping[str, Json], *, sample_rows: int, progress: Progress = SILENT
    ) -> Profile:
        """Describe one or more data files of the workspace, or a query over them.

        Raises:
            InvalidInput: They cannot be read.
        """

        def describe() -> Profile:
            found = find(self._workspace, source, reading)
            return profile(found, folder=folder.path, sample_rows=sample_rows, progress=progress)

        with self._folders.scratch() as folder:
            return await anyio.to_thread.run_sync(describe)

    async def create(self, request: DraftRequest, progress: Progress = SILENT) -> Draft:
        """Make a draft job: check everything, write its parts, record it. Spends nothing.

        Raises:
            InvalidInput: Something cannot be used; nothing was kept.
        """
        given = [name for name in ("source", "rows", "batch_file") if getattr(request, name)]
        if len(given) != 1:
            what = " and ".join(given) or "none"
            raise InvalidInput(f"A job needs exactly one of source, rows and batch_file. Given: {what}.")
        make = self._adopt if request.batch_file else self._draft
        with self._folders.new() as folder:
            made = await make(request, folder, progress)
            job, warnings = made.job, [*made.warnings]
            note = misspelt(job.recipe.model, job.provider, closest_priced_name)
            if note and not any(warning.kind == "unknown_model" for warning in warnings):
                warnings.append(DraftWarning("misspelt_model", note))
            if ending := await self._shutdown_dates.warning(job.provider):
                warnings.append(DraftWarning("shutdown", ending))
            folder.save_job(job)
            self._journal.add_job(job)
        self._on_point("drafted")
        if earlier := self._journal.queries.same_job(job):
            note = f"The same data, prompt and model were run before, as {earlier}: get_results gives its answers."
            warnings.append(DraftWarning("run_before", note))
        return replace(made, warnings=warnings)

    async def clean_up(self) -> None:
        """Delete the folders of unfinished drafts: they have no job, and their lock died with its process."""
        for folder in self._folders.all():
            is_draft = folder.lock_file.exists() and not folder.job_file.exists()
            if is_draft and not self._journal.queries.has_job(folder.job_id):
                with folder.held() as is_held:
                    # Checked again under the lock: the draft may have become a job meanwhile.
                    is_left_over = is_held and not self._journal.queries.has_job(folder.job_id)
                if is_left_over:
                    folder.remove()

    async def _draft(self, request: DraftRequest, folder: JobFolder, progress: Progress) -> Draft:
        """Draft a job of a data file or of inline rows in *folder*, which is empty."""
        wanted = schema.plain(request.output_schema) if request.output_schema else None
        recipe = Recipe(
            endpoint=request.endpoint,
            model=model_name(request.model) if request.model else "",
            prompt=request.prompt,
            system=request.system,
            output_schema=schema.strict(wanted) if wanted else None,
            parameters=dict(request.parameters),
            inputs_per_request=request.inputs_per_request,
        )
        origin = await anyio.to_thread.run_sync(self._origin, request, folder)
        made = await anyio.to_thread.run_sync(draft, self._plan(request, recipe, folder, origin), progress)
        if wanted and (optional := schema.optional_properties(wanted)):
            note = f"Strict mode requires every property, so these may come back null: {', '.join(optional)}."
            made = replace(made, warnings=[*made.warnings, DraftWarning("nullable", note)])
        return made

    def _origin(self, request: DraftRequest, folder: JobFolder) -> Origin:
        if request.source:
            return find(self._workspace, request.source, request.reading)
        if request.reading:
            raise InvalidInput("Inline rows are not read from a file. Leave reading out.")
        if len(request.rows) > MAX_INLINE_ROWS:
            most = f"at most {MAX_INLINE_ROWS:,} can be"
            raise InvalidInput(f"{len(request.rows):,} rows were given inline; {most}. Save them as a file.")
        write_rows(request.rows, folder.inline_rows)
        return replace(one_file(folder.inline_rows, "the rows"), kind="rows")

    async def _adopt(self, request: DraftRequest, folder: JobFolder, progress: Progress) -> Draft:
        """Draft a job of a ready-made batch file in *folder*, which is empty."""
        _refuse_recipe(request)
        path, copy = self._workspace.file_to_read(request.batch_file or ""), folder.batch_file
        name = self._workspace.display_name(path)

        def read() -> Recipe:
            self._workspace.copy(path, copy, progress.stage(0, 0.05, f"Reading {name}"))
            return batch_file_recipe(copy, name)

        recipe = await anyio.to_thread.run_sync(read)
        # It is a batch file, whatever its ending.
        origin = Origin(name, "batch", {name: [DataFile(path, name, "jsonl")]})
        known = self._api.is_model_known
        try:
            plan = self._plan(request, recipe, folder, origin)
        except InvalidInput as error:
            await anyio.to_thread.run_sync(_add_faults, copy, name, recipe, known, error)
            raise
        adopting = progress.stage(0.05, 1)
        return await anyio.to_thread.run_sync(lambda: adopt_batch_file(plan, copy, adopting, is_model_known=known))

    def _plan(self, request: DraftRequest, recipe: Recipe, folder: JobFolder, origin: Origin) -> DraftPlan:
        provider = self._api.answering(recipe.model or None, recipe.endpoint)
        return DraftPlan(
            folder=folder,
            created_at=self._now(),
            origin=origin,
            id_column=request.id_column or None,
            recipe=replace(recipe, model=provider.model),
            provider=provider,
            limits=self._limits_of(provider),
            on_point=self._on_point,
            deduplicate=request.deduplicate,
        )


def _add_faults(
    copy: Path, name: str, recipe: Recipe, is_model_known: Callable[[str], bool], error: InvalidInput
) -> None:
    """Put the faults of the file, if it has any, before *error*, so that the user sees all at once."""
    try:
        check_batch_file(copy, name, recipe.endpoint, None, is_model_known=is_model_known)
    except InvalidInput as faults:
        raise InvalidInput(f"{faults} {error}") from error


def _refuse_recipe(request: DraftRequest) -> None:
    """Refuse what a ready-made batch file says itself, and what would change its lines.

    Raises:
        InvalidInput: Such an argument was given.
    """
    for name in ("prompt", "system", "model", "output_schema", "parameters", "id_column", "reading"):
        if getattr(request, name):
            raise InvalidInput(f"A ready-made batch_file contains everything itself, including {name}. Leave it out.")
    for name in ("deduplicate", "inputs_per_request"):
        if getattr(request, name) != getattr(DraftRequest(), name):
            raise InvalidInput(f"A ready-made batch_file is sent line by line, unchanged. Leave {name} out.")
