"""Walkthroughs: what a user fills in stays what it is."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.checks.schema import strict
from batchwright.core.errors import InvalidInput
from batchwright.core.model import Recipe
from batchwright.core.untrusted import visible
from batchwright.mcp_server.prompts.common_jobs import WALKTHROUGHS
from batchwright.mcp_server.prompts.walkthrough import cell, literal, prompt, rendered
from batchwright.requests.recipe import body_builder

FILLED = {
    "classify": {"labels": "bug, question"},
    "extract": {"fields": "name, amount (number): the total, paid (boolean)"},
    "translate": {"language": "German"},
    "summarise": {},
    "embed": {},
    "judge": {"answer": "reply", "question": "text", "criteria": "kind"},
}
COLUMNS = ("id", "text", "reply", "topic")
anything = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ['{{a}} "{% raw %}" \\', "}} {#", "{{", "%}", "\u202e{{\u200b", "{% endraw %}", "a\nb", "'{{'"]
)


def filled_in(
    name: str, values: Mapping[str, str] | None = None, *, known: tuple[str, ...] | None = COLUMNS
) -> tuple[str, dict[str, Any]]:
    """Give the text of a walkthrough, and the arguments of its `create_batch_file`."""
    text = rendered(WALKTHROUGHS[name], {"source": "t.csv", **FILLED[name], **(values or {})}, known)
    (line,) = [line for line in text.splitlines() if line.startswith("{")]
    return text, json.loads(line)


def sent(text: str, row: dict[str, str]) -> str:
    """Give a template filled with a row."""
    return body_builder(Recipe("/v1/embeddings", "m", text), list(row))(row)["input"]


@given(text=anything)
def test_a_text_in_a_template_stays_text(text: str) -> None:
    """A label called {{text}} is a label."""
    assert sent(f"a{literal(text)}b{{{{x}}}}", {"x": "1"}) == f"a{text}b1"


@given(names=st.lists(anything.filter(str.strip), min_size=1, max_size=4, unique_by=str.lower))
def test_a_cell_is_looked_up_whatever_its_column_is_called(names: list[str]) -> None:
    """Columns are called what people call them."""
    row = {name: f"<{number}>" for number, name in enumerate(names)}
    labels = [f"{name}: {value}" for name, value in row.items()]

    assert [sent(cell(name), row) for name in names] == list(row.values())
    assert sent(prompt(names), row) == ("<0>" if len(names) == 1 else "\n".join(labels))


@pytest.mark.parametrize("name", WALKTHROUGHS)
@given(text=anything.filter(str.strip))
def test_what_is_filled_in_cannot_leave_its_quotes(name: str, text: str) -> None:
    """It may come from a file that somebody else made; the assistant is to take it for data."""
    free = {"classify": "labels", "extract": "source", "translate": "language", "summarise": "length"}.get(
        name, "model"
    )
    value = f"{text}, x" if free == "labels" else text
    honest = rendered(WALKTHROUGHS[name], {"source": "t.csv", **FILLED[name], free: "x, y"}, COLUMNS)

    try:
        told, arguments = filled_in(name, {free: value})
    except InvalidInput:
        return

    assert visible(told) == told
    assert arguments["source"]
    assert len(told.splitlines()) <= len(honest.splitlines()) + 1


@pytest.mark.parametrize("name", WALKTHROUGHS)
def test_a_guide_leads_through_the_calls_in_their_order(name: str) -> None:
    """Nothing is submitted before the cost was told, and nothing is told before it is known."""
    text, _ = filled_in(name)
    order = (
        "inspect_data",
        "create_batch_file",
        "try_requests",
        "and the cost",
        "submit_job",
        "check_job",
        "get_results",
    )

    places = [text.index(word) for word in order]

    assert places == sorted(places)
    assert text.index("retry_job") > places[-1]
    assert len(text) < 2_500


@pytest.mark.parametrize("name", WALKTHROUGHS)
def test_the_schema_of_a_guide_is_one_that_strict_mode_takes(name: str) -> None:
    """An assistant that copies the call must not be the first to try it."""
    _, arguments = filled_in(name)

    if "output_schema" in arguments:
        assert (
            strict(arguments["output_schema"])["properties"].keys() == arguments["output_schema"]["properties"].keys()
        )


def test_a_field_gets_its_type_and_what_is_said_of_it() -> None:
    """An amount is to be summed, not read."""
    _, arguments = filled_in("extract", known=("amount",))

    assert arguments["output_schema"]["properties"] == {
        "name": {"type": ["string", "null"]},
        "new_amount": {"type": ["number", "null"], "description": "the total"},
        "paid": {"type": ["boolean", "null"]},
    }


def test_the_right_answers_are_not_shown_to_the_model() -> None:
    """Else the accuracy would be that of copying."""
    text, arguments = filled_in("classify", {"truth": "topic"})

    assert "topic" not in arguments["prompt"]
    assert 'query_results(job_id=..., truth="topic", answer="label")' in text


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("", {"max_completion_tokens": 2_050}),
        ("gpt-5-mini", {"max_completion_tokens": 2_050}),
        ("gpt-4.1-mini", {"max_completion_tokens": 50, "temperature": 0}),
    ],
)
def test_the_parameters_are_those_that_the_model_takes(model: str, parameters: dict[str, int]) -> None:
    """Where a model reasons, its thoughts need room, and it refuses a temperature."""
    text, arguments = filled_in("classify", {"model": model})

    assert arguments["parameters"] == parameters
    assert arguments.get("model", "") == model
    assert ("ask the user for one" in text) == (not model)


def test_where_columns_are_not_known_the_assistant_is_to_put_them() -> None:
    """A query is not run only to fill in a prompt."""
    text, arguments = filled_in("summarise", {"source": "SELECT *\nFROM 't.csv'"}, known=None)

    assert arguments["source"] == "SELECT *\nFROM 't.csv'"
    assert arguments["prompt"] == "{{column}}"
    assert "replace {{column}}" in text


def test_several_columns_are_translated_into_as_many() -> None:
    """One answer for two texts could not be taken apart."""
    _, one = filled_in("translate", {"columns": "text"})
    _, two = filled_in("translate", {"columns": "text, reply"})

    assert "output_schema" not in one
    assert list(two["output_schema"]["properties"]) == ["text_translated", "reply_translated"]


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("classify", {"labels": "one"}, "at least two labels"),
        ("classify", {"labels": ",".join(map(str, range(201)))}, "labels lists 201 names"),
        ("classify", {"columns": "txt"}, "no column 'txt'. Columns: 'id', 'text', 'reply', 'topic'."),
        ("classify", {"truth": "wrong"}, "no column 'wrong'"),
        ("extract", {"fields": " , "}, "fields is empty"),
        ("extract", {"fields": "total (EUR)"}, "'total (EUR)' is not a field"),
        ("judge", {"answer": "nothing"}, "no column 'nothing'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_advice(name: str, values: dict[str, str], told: str) -> None:
    """A walkthrough that leads into an error has failed."""
    with pytest.raises(InvalidInput, match=re.escape(told)):
        filled_in(name, values)
