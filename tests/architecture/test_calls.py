"""Every call that the program advises is one that its tools take: as it stands in the code, and as answers have it."""

import ast
import re
from collections.abc import Iterator

import anyio
import jsonschema_rs
import pytest
from mcp import Client

from batchwright.app.app import build_server
from batchwright.core.settings import Settings
from tests.architecture.test_layers import MODULES
from tests.support.advised_calls import Schemas, calls_in, faults, wrong_calls

ADVICE = "results.causes."
"""Where calls are advised for any job: the answer names it in which they stand."""


async def _listed() -> dict[str, dict[str, object]]:
    async with Client(build_server(Settings())) as client:
        return {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}


@pytest.fixture(scope="module")
def tools() -> Schemas:
    """Give the tools' schemas, as a client gets them."""
    return anyio.run(_listed)


def calls_of(name: str) -> Iterator[ast.Call]:
    """Give where a module makes a `Call`."""
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Call":
            yield node


def tools_of(node: ast.expr) -> list[str]:
    """Give the tools that a `Call` may name."""
    if isinstance(node, ast.IfExp):
        return [*tools_of(node.body), *tools_of(node.orelse)]
    return [ast.literal_eval(node)]


def value_of(node: ast.expr) -> object:
    """Give an argument that stands in the code; `...` where it is known when the program runs."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...


def texts_of(name: str) -> Iterator[tuple[int, str]]:
    """Give the texts of a module that are no docstrings, each with its line."""
    docstrings = {id(node.value) for node in ast.walk(MODULES[name]) if isinstance(node, ast.Expr)}
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize("name", [name for name in MODULES if any(calls_of(name))])
def test_each_call_in_the_code_names_a_tool_and_arguments_that_it_has(name: str, tools: Schemas) -> None:
    """An argument that is renamed, or a word that is not taken any more, would send every assistant into an error."""
    found: list[str] = []
    for node in calls_of(name):
        arguments = {keyword.arg: value_of(keyword.value) for keyword in node.keywords if keyword.arg}
        is_open = len(arguments) < len(node.keywords)
        for tool in tools_of(node.args[0]):
            assert tool in tools, f"{name}:{node.lineno}: there is no tool {tool!r}"
            named = tools[tool].get("required", ()) if is_open else {"job_id"} if name.startswith(ADVICE) else ()
            found += [f"{name}:{node.lineno}: {fault}" for fault in faults(tool, arguments, tools[tool], named)]

    assert found == []


@pytest.mark.parametrize("name", MODULES)
def test_no_call_is_written_by_hand(name: str, tools: Schemas) -> None:
    """It would be compared with nothing, and could name an argument of last year."""
    written = re.compile(rf"\b(?:{'|'.join(tools)})\(")

    assert [f"{name}:{line}: {text}" for line, text in texts_of(name) if written.search(text)] == []


@pytest.mark.parametrize("name", MODULES)
def test_an_argument_in_prose_has_a_value_that_a_tool_takes(name: str, tools: Schemas) -> None:
    """Notes name what only the user may say, such as user_says="resend"."""
    takes = [schema["properties"] for schema in tools.values()]
    found = [
        f'{name}:{line}: {argument}="{word}"'
        for line, text in texts_of(name)
        for argument, word in re.findall(r'\b(\w+)="([^"{}]*)"', text)
        if (known := [each[argument] for each in takes if argument in each])
        and not any(jsonschema_rs.is_valid(schema, word) for schema in known)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('check_job(job_id="a", wait=45)', "check_job: Additional properties are not allowed ('wait' was unexpected)"),
        ('check_job(job_id="a", wait=...)', "check_job has no wait"),
        ("check_job(wait_seconds=45)", "check_job: job_id is needed"),
        ('check_job(job_id="a", wait_seconds="45")', 'check_job: "45" is not of type "integer"'),
        ('submit_job(job_id="a", user_says="forget_it")', 'submit_job: "forget_it" is not one of'),
        ('then retry_job(job_id="a", outcomes=["lost"])', 'retry_job: "lost" is not one of'),
    ],
)
def test_a_call_that_would_be_refused_is_found_in_a_text(text: str, fault: str, tools: Schemas) -> None:
    """All sessions of the tests read `next` with this."""
    (found,) = wrong_calls(text, tools)

    assert found.startswith(fault)


def test_what_is_not_known_stands_for_any_value(tools: Schemas) -> None:
    """It is shown by its words, which are no JSON."""
    text = 'ask, then submit_job(job_id="a", max_cost_usd=...); query_results(job_id="a", sql=as here, limit=5) too'

    assert list(calls_in(text, tools)) == [
        ("submit_job", {"job_id": "a", "max_cost_usd": ...}),
        ("query_results", {"job_id": "a", "sql": ..., "limit": 5}),
    ]
    assert wrong_calls(text, tools) == []
    assert list(calls_in('try_requests(job_id="a", models=[...], named=["1"])', tools)) == [
        ("try_requests", {"job_id": "a", "models": ..., "named": ["1"]})
    ]
