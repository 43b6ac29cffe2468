"""Rows to requests: whichever way a recipe is filled, the requests are the same, and every text arrives as it is."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Endpoint, Recipe
from batchwright.requests.recipe import MAX_TEXT_CHARACTERS, plain_texts
from batchwright.requests.rendering import filling
from batchwright.tables.frozen import freeze
from batchwright.tables.rows import write_rows
from batchwright.tables.source import one_file

NO_MORE = "{% if true %}{% endif %}"
"""Shows nothing, but only the template engine knows that."""
CELLS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
AROUND = st.text(alphabet="ab {}\n\t\"'\\é#$?%", max_size=8)


def found(rows: list[dict[str, Any]], recipe: Recipe) -> list[tuple[str, Any, bool, Any]]:
    """Freeze rows, and give each row's id, request, whether it is empty, and tokens."""
    with TemporaryDirectory() as folder:
        source, frozen = Path(folder) / "rows.jsonl", Path(folder) / "frozen.parquet"
        write_rows(rows, source)
        columns = freeze(one_file(source, "rows"), frozen, id_column=None).source.columns
        requests = filling(recipe, columns).requests(frozen)
        return [(each.custom_id, json.loads(each.line.data), each.is_empty, each.line.tokens) for each in requests]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    cells=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4),
    before=AROUND,
    after=AROUND,
    space=st.sampled_from(["", " "]),
    endpoint=st.sampled_from(get_args(Endpoint)),
    system=st.sampled_from([None, "Be short.", "Of {{b}}?"]),
)
def test_both_ways_of_filling_end_at_the_same_requests(  # what a recipe may hold
    cells: list[tuple[str | None, str | None]],
    before: str,
    after: str,
    space: str,
    endpoint: Endpoint,
    system: str | None,
) -> None:
    """Texts between texts are put together by DuckDB, all else by the template engine: nobody should see which."""
    # A row with a text in each column makes both columns texts.
    rows = [{"a": a, "b b": b, "b": b} for a, b in [("x", "y"), *cells]]
    prompt = f"{before}{{{{{space}a{space}}}}}{after}{{{{b b}}}}"
    system = None if endpoint == "/v1/embeddings" else system
    short = Recipe(endpoint=endpoint, model="m", prompt=prompt, system=system)
    engine = Recipe(endpoint=endpoint, model="m", prompt=prompt + NO_MORE, system=system)
    try:
        by_engine = found(rows, engine)
    except InvalidInput:
        with pytest.raises(InvalidInput):
            found(rows, short)
        return

    assert found(rows, short) == by_engine


def test_a_recipe_of_columns_alone_takes_the_short_way() -> None:
    """Nearly all recipes are: a change that sends them the long way would go unseen."""
    recipe = Recipe(endpoint="/v1/chat/completions", model="m", prompt="Say {{ a }}:\n{{b}}!", system="Be {{b}}.")

    assert plain_texts(recipe, ["a", "b"]) == [["Be ", "b", "."], ["Say ", "a", ":\n", "b", "!"]]


@pytest.mark.parametrize(
    "prompt", ["{{a|upper}}", "{{-a}}", "{% raw %}{{a}}{% endraw %}", "{{ 'a' }}", "{{row.a}}", "{{a}}{{"]
)
def test_what_is_more_than_a_column_goes_to_the_template_engine(prompt: str) -> None:
    """Only it knows what filters, blocks and trimming do."""
    assert plain_texts(Recipe(endpoint="/v1/embeddings", model="m", prompt=prompt), ["a"]) is None


def test_a_text_that_is_too_long_is_refused_by_its_row() -> None:
    """Nobody means to send a book in one request."""
    rows = [{"a": "x"}, {"a": "é" * (MAX_TEXT_CHARACTERS // 2)}]
    recipe = Recipe(endpoint="/v1/embeddings", model="m", prompt="{{a}}{{a}}!")

    with pytest.raises(
        InvalidInput, match=r"Row 2: the text has 10,000,001 characters when filled\. Send less of it\."
    ):
        found(rows, recipe)
