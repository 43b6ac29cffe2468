"""What a trial will send, and what it may cost: rows, variants and their requests. Runs in a worker thread."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice, product

from batchwright.core.calls import OPEN, Call
from batchwright.core.errors import InvalidInput
from batchwright.core.job_folder import JobFolder
from batchwright.core.model import Endpoint, Job, Json, ProviderInfo, Recipe, Request, SpendingLimits
from batchwright.core.money import format_most
from batchwright.core.untrusted import model_name, quote_name, quote_names
from batchwright.costs.prices import Price, price_at
from batchwright.costs.spending import Budget, trial_budget, trial_question
from batchwright.costs.tokens import RequestTokens
from batchwright.costs.totals import add_up, estimate
from batchwright.jobs.preflight import DraftWarning, check_recipe
from batchwright.jobs.terms import Terms
from batchwright.jobs.trials.rows import Choice, TriedRow, choose_rows
from batchwright.requests.measure import Measure
from batchwright.requests.recipe import body_builder, template_columns

MAX_VARIANTS = 4
MAX_LISTED_COLUMNS = 40

Answering = Callable[[str | None, Endpoint], ProviderInfo]
"""Returns the provider that would answer requests for a model."""


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """What the user wants tried.

    Attributes:
        models, prompts: To try beside the draft as it is: each model with each prompt, if both are given.
        truth: The column with the right answers, or PROPERTY=COLUMN.
    """

    job_id: str
    choice: Choice = field(default_factory=Choice)
    models: Sequence[str] = ()
    prompts: Sequence[str] = ()
    truth: str | None = None
    max_cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One recipe to try; the first of a trial is the draft's own.

    Attributes:
        price: None: unknown, or nothing is charged.
    """

    recipe: Recipe
    provider: ProviderInfo
    price: Price | None
    warnings: tuple[DraftWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a trial: its row and variant, and the most that it may cost; None: nothing bounds it."""

    row: int
    variant: int
    request: Request
    tokens: RequestTokens
    ceiling_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Truth:
    """Where the right answers are: the source's *column*, for the answers' property *name*."""

    column: str
    name: str


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What will be sent, and what to ask the user first.

    Attributes:
        job: With the recipe, the provider and the parts of the round that is tried.
        columns: The source columns that the prompts use.
    """

    job: Job
    choice: Choice
    variants: tuple[Variant, ...]
    rows: tuple[TriedRow, ...]
    columns: tuple[str, ...]
    asked: tuple[Asked, ...]
    truth: Truth | None
    agreed: Budget
    terms: Terms


def plan_trial(
    job: Job, request: TrialRequest, folder: JobFolder, *, answering: Answering, spending: SpendingLimits
) -> TrialPlan:
    """Choose the rows of *job*, whose parts are those of one round, and build what would be sent.

    Raises:
        NotFound: A named row does not exist.
        NotReady: The requests are gone.
        InvalidInput: The variants or the truth cannot be used, or nothing bounds the cost and no maximum is given.
        OverLimit: It may cost more than the user agreed to.
    """
    variants = tuple(_variant(job, recipe, answering) for recipe in _recipes(job, request))
    truth = _truth(job, request.truth) if request.truth else None
    used = {column for variant in variants for column in _columns(job, variant.recipe)}
    columns = tuple(column for column in job.source.columns if column in used)
    needed = [column for column in job.source.columns if column in used or (truth and column == truth.column)]
    rows = tuple(choose_rows(job, folder, request.choice, needed))
    asked = tuple(_requests_of(job, variants, rows))
    agreed = trial_budget(job, [each.ceiling_usd for each in asked], request.max_cost_usd)
    is_asked = not agreed.is_bounded or agreed.total_usd > spending.ask_above_usd
    terms = _terms(job, request, variants, agreed) if is_asked else Terms(None)
    return TrialPlan(job, request.choice, variants, rows, columns, asked, truth, agreed, terms)


def _terms(job: Job, request: TrialRequest, variants: Sequence[Variant], agreed: Budget) -> Terms:
    refusal = (
        f"Trying {job.id} may cost up to {format_most(agreed.total_usd)}, and no maximum was named. Nothing was sent. "
        f"Ask the user, then {Call('try_requests', job_id=job.id, max_cost_usd=OPEN)}."
    )
    question = trial_question(job, [variant.recipe.model for variant in variants], agreed)
    return Terms(question, refusal if request.max_cost_usd is None else None)


def _recipes(job: Job, request: TrialRequest) -> Sequence[Recipe]:
    """Return the draft's own recipe, then the others to try, each once."""
    own = job.recipe
    if request.prompts and own.prompt is None:
        raise InvalidInput(
            f"{job.id} was made from a ready-made batch file, which has no prompt of its own. Compare models instead."
        )
    recipes = {(own.model, own.prompt): own}
    models, prompts = dict.fromkeys(map(model_name, request.models)), dict.fromkeys(request.prompts)
    others = product(models or [own.model], prompts or [own.prompt])
    for model, prompt in islice(others, MAX_VARIANTS + 1):
        recipes.setdefault((model, prompt), replace(own, model=model, prompt=prompt))
    if len(recipes) > MAX_VARIANTS:
        raise InvalidInput(
            f"That makes more than {MAX_VARIANTS} variants, including the draft. Name fewer models or prompts: each "
            "model is tried with each prompt."
        )
    return list(recipes.values())


def _variant(job: Job, recipe: Recipe, answering: Answering) -> Variant:
    provider = answering(recipe.model, recipe.endpoint)
    known = price_at(provider, recipe.model, endpoint=recipe.endpoint)
    if recipe == job.recipe or recipe.prompt is None:
        return Variant(recipe, provider, known)
    try:
        return Variant(recipe, provider, known, tuple(check_recipe(recipe, provider)))
    except InvalidInput as error:
        raise InvalidInput(f"{recipe.model}: {error}") from error


def _columns(job: Job, recipe: Recipe) -> Sequence[str]:
    """Return the columns to show beside the answers; a ready-made batch file has none but the ids."""
    return template_columns(recipe, job.source.columns) if recipe.prompt is not None else ()


def _truth(job: Job, given: str) -> Truth:
    if job.recipe.endpoint == "/v1/embeddings":
        raise InvalidInput("Embeddings are neither right nor wrong. Leave truth out.")
    names = list((job.recipe.output_schema or {}).get("properties", {})) or ["answer"]
    columns = job.source.columns
    if given in columns:
        named = [name for name in names if name.casefold() == given.casefold()]
        if not named and len(names) > 1:
            raise InvalidInput(
                f"The answers have the properties {quote_names(names)}, and {quote_name(given)} could be the truth of "
                f'any. Give truth as "{names[0]}={given}".'
            )
        return Truth(given, (named or names)[0])
    name, _, column = given.partition("=")
    if name not in names or column not in columns:
        raise InvalidInput(
            f"truth names no column of {quote_name(job.source.name)}: {quote_name(given)}. "
            f"Columns: {quote_names(columns[:MAX_LISTED_COLUMNS])}. With "
            f'several properties give it as "PROPERTY=COLUMN"; the properties are {quote_names(names)}.'
        )
    return Truth(column, name)


def _requests_of(job: Job, variants: Sequence[Variant], rows: Sequence[TriedRow]) -> Iterator[Asked]:
    """Yield the requests row by row: if time runs out, the first rows have all their answers."""
    measures = [Measure(variant.recipe.model, variant.recipe.endpoint) for variant in variants]
    bodies = [_bodies(job, variant) for variant in variants]
    for row, tried in enumerate(rows):
        for number, variant in enumerate(variants):
            request = Request(tried.custom_id, bodies[number](tried))
            tokens = measures[number].request(request).tokens
            expected = estimate(variant.price, add_up([tokens])).cost_standard_usd
            yield Asked(row, number, request, tokens, expected.high_usd if expected else None)


def _bodies(job: Job, variant: Variant) -> Callable[[TriedRow], Mapping[str, Json]]:
    """Return the function from a row to a body; the draft's own bodies are those in its files."""
    if variant.recipe == job.recipe:
        return lambda row: row.body
    if variant.recipe.prompt is None:
        return lambda row: {**row.body, "model": variant.recipe.model}
    build = body_builder(variant.recipe, job.source.columns)
    used = template_columns(variant.recipe, job.source.columns)

    def body(row: TriedRow) -> Mapping[str, Json]:
        try:
            return build({column: row.cells[column] for column in used})
        except InvalidInput as error:
            raise InvalidInput(f"Row {row.number}: {error}") from error

    return body
