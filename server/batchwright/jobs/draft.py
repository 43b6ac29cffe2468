"""From what a user asks for to a draft job: look at the data, find the source, make the recipe, name the provider."""

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
from batchwright.jobs.build import Draft, Plan, draft
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
    """What a draft is asked for; exactly one of *source*, *rows* and *batch_file* is given."""

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
    """Describes data, and makes draft jobs of it."""

    def __init__(  # noqa: PLR0913  # a draft needs all that a job is made of
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
        """Describe a data file of the workspace, several, or a query over them.

        Raises:
            InvalidInput: It cannot be read.
        """

        def profiled() -> Profile:
            found = find(self._workspace, source, reading)
            return profile(found, folder=folder.path, sample_rows=sample_rows, progress=progress)

        with self._folders.scratch() as folder:
            return await anyio.to_thread.run_sync(profiled)

    async def create(self, request: DraftRequest, progress: Progress = SILENT) -> Draft:
        """Make a draft job: check everything, write its parts, record it. Spends nothing.

        Raises:
            InvalidInput: Something cannot be used; nothing was kept.
        """
        given = [name for name in ("source", "rows", "batch_file") if getattr(request, name)]
        if len(given) != 1:
            what = f"{' and '.join(given)} were given" if given else "none was given"
            raise InvalidInput(f"A job has one of source, rows and batch_file, and {what}. Give exactly one.")
        with self._folders.new() as folder:
            made = await self._draft(request, folder, progress)
            folder.save_job(made.job)
            self._journal.add_job(made.job)
        self._on_point("drafted")
        if earlier := self._journal.queries.same_job(made.job):
            note = f"The same data, prompt and model were run before, as {earlier}: get_results gives its answers."
            made = replace(made, warnings=[*made.warnings, DraftWarning("run_before", note)])
        return made

    async def clean_up(self) -> None:
        """Remove what drafts left that were cut off: folders of no job, whose lock died with its process."""
        for folder in self._folders.all():
            is_draft = folder.lock_file.exists() and not folder.job_file.exists()
            if is_draft and not self._journal.queries.has_job(folder.job_id):
                with folder.held() as is_held:
                    # Looked at again under the lock: the draft may have become a job meanwhile.
                    is_left_over = is_held and not self._journal.queries.has_job(folder.job_id)
                if is_left_over:
                    folder.remove()

    async def _draft(self, request: DraftRequest, folder: JobFolder, progress: Progress) -> Draft:
        """Check everything, and write the parts into *folder*, which is empty and has the job's id for its name."""
        made = await self._make(request, folder, progress)
        warnings = [*made.warnings]
        note = misspelt(made.job.recipe.model, made.job.provider, closest_priced_name)
        if note and not any(warning.kind == "unknown_model" for warning in warnings):
            warnings.append(DraftWarning("misspelt_model", note))
        if ending := await self._shutdown_dates.warning(made.job.provider):
            warnings.append(DraftWarning("shutdown", ending))
        return replace(made, warnings=warnings)

    async def _make(self, request: DraftRequest, folder: JobFolder, progress: Progress) -> Draft:
        if request.batch_file:
            return await self._make_of_batch_file(request, request.batch_file, folder, progress)
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
        if request.source:
            origin = await anyio.to_thread.run_sync(find, self._workspace, request.source, request.reading)
        else:
            if request.reading:
                raise InvalidInput("Rows given inline are not read from a file. Leave reading out.")
            if len(request.rows) > MAX_INLINE_ROWS:
                most = f"{MAX_INLINE_ROWS:,}"
                raise InvalidInput(
                    f"{len(request.rows):,} rows were given inline; {most} are taken. Save them as a file."
                )
            path = folder.inline_rows
            await anyio.to_thread.run_sync(write_rows, request.rows, path)
            origin = replace(one_file(path, "the rows"), kind="rows")
        plan = self._plan(request, recipe, folder, origin)
        made = await anyio.to_thread.run_sync(draft, plan, progress)
        if wanted and (optional := schema.optional_properties(wanted)):
            note = f"Strict mode requires every property, so these may come back null: {', '.join(optional)}."
            made = replace(made, warnings=[*made.warnings, DraftWarning("nullable", note)])
        return made

    async def _make_of_batch_file(
        self, request: DraftRequest, batch_file: str, folder: JobFolder, progress: Progress
    ) -> Draft:
        path, copy = self._workspace.file_to_read(batch_file), folder.batch_file
        name = self._workspace.display_name(path)
        _refuse_recipe(request)

        def read() -> Recipe:
            self._workspace.copy(path, copy, progress.stage(0, 0.05, f"Reading {name}"))
            return batch_file_recipe(copy, batch_file)

        recipe = await anyio.to_thread.run_sync(read)
        known = self._api.is_model_known
        try:
            plan = self._plan(request, recipe, folder, _batch_origin(path, name))
        except InvalidInput as error:
            # The file may have more faults than its model: all are told at once.
            await anyio.to_thread.run_sync(_tell_faults, copy, request, recipe, known, error)
            raise
        adopting = progress.stage(0.05, 1)
        return await anyio.to_thread.run_sync(lambda: adopt_batch_file(plan, copy, adopting, is_model_known=known))

    def _plan(self, request: DraftRequest, recipe: Recipe, folder: JobFolder, origin: Origin) -> Plan:
        provider = self._api.answering(recipe.model or None, recipe.endpoint)
        return Plan(
            job_id=folder.job_id,
            created_at=self._now(),
            folder=folder,
            origin=origin,
            id_column=request.id_column or None,
            recipe=replace(recipe, model=provider.model),
            provider=provider,
            limits=self._limits_of(provider),
            on_point=self._on_point,
            deduplicate=request.deduplicate,
        )


def _batch_origin(path: Path, name: str) -> Origin:
    """Take a batch file for what it is, whatever its ending."""
    return Origin(name, "batch", {name: [DataFile(path, name, "jsonl")]})


def _tell_faults(
    path: Path, request: DraftRequest, recipe: Recipe, is_model_known: Callable[[str], bool], reason: InvalidInput
) -> None:
    try:
        check_batch_file(path, request.batch_file or "", recipe.endpoint, None, is_model_known=is_model_known)
    except InvalidInput as error:
        raise InvalidInput(f"{error} {reason}") from reason


def _refuse_recipe(request: DraftRequest) -> None:
    for name in ("prompt", "system", "model", "output_schema", "parameters", "id_column", "reading"):
        if getattr(request, name):
            raise InvalidInput(f"A ready-made batch_file says everything itself, also its {name}. Leave {name} out.")
    for name, is_given in (
        ("deduplicate", request.deduplicate),
        ("inputs_per_request", request.inputs_per_request != 1),
    ):
        if is_given:
            raise InvalidInput(f"A ready-made batch_file is sent line by line as it is. Leave {name} out.")
