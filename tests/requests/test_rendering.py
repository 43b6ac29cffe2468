"""Rows to requests: every text arrives as it is, and what cannot be rendered is named by its row."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Endpoint, Recipe
from batchwright.requests.recipe import MAX_TEXT_CHARACTERS
from batchwright.requests.rendering import Rendered, Renderer
from batchwright.tables.frozen import freeze
from batchwright.tables.rows import write_rows
from batchwright.tables.source import one_file

CELLS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
AROUND = st.text(alphabet="ab \n\t\"'\\é#$?%", max_size=8)


def rendered(rows: list[dict[str, Any]], recipe: Recipe, ids: set[str] | None = None) -> list[Rendered]:
    """Freeze rows, and render each, or those of *ids*."""
    with TemporaryDirectory() as folder:
        source, frozen = Path(folder) / "rows.jsonl", Path(folder) / "frozen.parquet"
        write_rows(rows, source)
        columns = freeze(one_file(source, "rows"), frozen, id_column=None).source.columns
        return list(Renderer(recipe, columns).requests(frozen, ids))


def texts(line: bytes) -> list[str]:
    """Return the texts of a request, the prompt last."""
    body = json.loads(line)["body"]
    if "messages" in body:
        return [message["content"] for message in body["messages"]]
    return [*([body["instructions"]] if "instructions" in body else []), body["input"]]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    cells=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4),
    before=AROUND,
    after=AROUND,
    space=st.sampled_from(["", " "]),
    endpoint=st.sampled_from(get_args(Endpoint)),
    has_system=st.booleans(),
)
def test_every_text_arrives_as_it_is(  # what a recipe may hold
    cells: list[tuple[str | None, str | None]],
    before: str,
    after: str,
    space: str,
    endpoint: Endpoint,
    *,
    has_system: bool,
) -> None:
    """Quotes, escapes and characters of any script are the user's data."""
    # A row with a text in each column makes both columns texts.
    cells = [("x", "y"), *cells]
    rows = [{"a": a, "b b": b, "b": b} for a, b in cells]
    has_system = has_system and endpoint != "/v1/embeddings"
    system = "Of {{b}}?" if has_system else None
    prompt = f"{before}{{{{{space}a{space}}}}}{after}{{{{b b}}}}"

    found = rendered(rows, Recipe(endpoint=endpoint, model="m", prompt=prompt, system=system))

    assert [texts(each.line.data) for each in found] == [
        [*([f"Of {b or ''}?"] if has_system else []), f"{before}{a or ''}{after}{b or ''}"] for a, b in cells
    ]
    assert [each.is_empty for each in found] == [not a and not b for a, b in cells]
    assert [(each.row, each.custom_id) for each in found] == [(n, f"row-{n}") for n in range(1, len(rows) + 1)]


def test_only_the_rows_that_are_asked_for_are_rendered() -> None:
    """A retry takes up a few of many rows, and the others need not fit its prompt."""
    recipe = Recipe(endpoint="/v1/embeddings", model="m", prompt="{{a.b}}")
    rows: list[dict[str, Any]] = [{"a": {"b": "x"}}, {"a": "no object"}, {"a": {"b": "y"}}]

    found = rendered(rows, recipe, {"row-1", "row-3"})

    assert [(each.row, texts(each.line.data)) for each in found] == [(1, ["x"]), (3, ["y"])]
    with pytest.raises(InvalidInput, match="Row 2: "):
        rendered(rows, recipe)


def test_a_text_that_is_too_long_is_refused_by_its_row() -> None:
    """Nobody means to send a book in one request."""
    rows = [{"a": "x"}, {"a": "é" * (MAX_TEXT_CHARACTERS // 2)}]
    recipe = Recipe(endpoint="/v1/embeddings", model="m", prompt="{{a}}{{a}}!")

    with pytest.raises(
        InvalidInput, match=r"Row 2: The prompt has 10,000,001 characters when filled\. Send less of the row\."
    ):
        rendered(rows, recipe)
