"""The addresses of resources."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.uri_template import UriTemplate

from batchwright.core.errors import InvalidInput, NotFound
from batchwright.mcp_server.addresses import JOBS, TEMPLATES, Address, Kind, all_of, of_guide, of_job, parse


@pytest.mark.parametrize("kind", sorted(TEMPLATES.keys() - {"guide"}))
@given(job_id=st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_what_a_client_makes_of_a_template_is_read_back(kind: Kind, job_id: str) -> None:
    """Templates are what clients see; addresses are what they send."""
    given_options = {} if kind in {"job", "requests", "table"} else {"limit": "5"}

    address = parse(UriTemplate.parse(TEMPLATES[kind]).expand({"job_id": job_id, **given_options}))

    assert address == Address(kind, None if kind == "jobs" else job_id, options=given_options)


@given(topic=st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_what_a_client_makes_of_the_guides_template_is_read_back(topic: str) -> None:
    """Whether there is such a page is not the address's to say."""
    assert parse(UriTemplate.parse(TEMPLATES["guide"]).expand({"topic": topic})) == Address("guide", topic=topic)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file:///etc/passwd",
        "batchwright://job",
        "batchwright://jobs/",
        "batchwright://jobs/a/b",
        "batchwright://jobs/a/../b",
        "batchwright://jobs/a/results.parquet",
        "batchwright://jobs/a#x",
        "BATCHWRIGHT://jobs",
        "batchwright://jobs\n",
        "batchwright://guide",
        "batchwright://guide/",
        "batchwright://guide/costs/limits",
        "batchwright://guide/costs?limit=1",
    ],
)
def test_what_is_no_address_is_not_found(uri: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(NotFound, match="There is no resource"):
        parse(uri)


@pytest.mark.parametrize("uri", [f"{JOBS}?x=1", f"{JOBS}/a?limit=1", f"{JOBS}/a/results?offset=1&rows=2"])
def test_an_option_that_is_not_known_is_refused(uri: str) -> None:
    """Dropped in silence, the wrong page would pass for the right one."""
    with pytest.raises(InvalidInput, match="has no option"):
        parse(uri)


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "", "101", "٣", "9" * 400])
def test_a_number_that_is_none_or_too_large_is_refused(text: str) -> None:
    """A limit is there to be kept."""
    with pytest.raises(InvalidInput, match="limit is not a number from 0 to 100"):
        Address("jobs", options={"limit": text}).number("limit", 20, 100)


def test_an_address_without_options_names_the_whole() -> None:
    """A subscription to one page is told when the whole changes."""
    assert parse(f"{JOBS}?limit=3").plain == JOBS
    assert parse(f"{JOBS}/a/results?limit=3").plain == of_job("a", "results")
    assert parse(of_guide("costs")).plain == of_guide("costs")
    assert of_job("a", "results") in all_of("a")
    assert all("guide" not in uri for uri in all_of("a"))
