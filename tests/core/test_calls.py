"""Calls that are advised: as text that is copied, and as facts that are passed on."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.calls import OPEN, Blank, Call
from batchwright.core.untrusted import inert, one_line

JSON = st.recursive(
    st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (Call("list_jobs"), "list_jobs()"),
        (Call("submit_job", job_id="job_a", max_cost_usd=OPEN), 'submit_job(job_id="job_a", max_cost_usd=...)'),
        (Call("query_results", sql=Blank("as here"), limit=5), "query_results(sql=as here, limit=5)"),
        (Call("retry_job", parameters={"stream": None}), 'retry_job(parameters={"stream": null})'),
        (Call("retry_job", parameters={Blank("LIMIT"): OPEN}), "retry_job(parameters={LIMIT: ...})"),
        (Call("try_requests", models=[OPEN], truth=None), "try_requests(models=[...])"),
    ],
)
def test_a_call_is_written_as_it_is_made(call: Call, text: str) -> None:
    """What is not known shows as its words, and what is not given not at all."""
    assert str(call) == text


def test_a_call_is_passed_on_as_it_stands() -> None:
    """A program needs no text to read."""
    assert Call("check_job", job_id="job_a", wait_seconds=45).facts() == {
        "call": "check_job",
        "arguments": {"job_id": "job_a", "wait_seconds": 45},
    }


@given(value=JSON)
def test_no_text_leaves_its_argument_or_is_lost(value: Any) -> None:
    """A name that others wrote ends no call and begins none, hides nothing, and arrives whole."""
    text = str(Call("inspect_data", source=value))

    assert text == inert(text) == one_line(text, len(text))
    assert json.loads(text.removeprefix("inspect_data(source=").removesuffix(")")) == value
