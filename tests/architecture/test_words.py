"""Words are for people: what this program wrote is known by its code, and phrases are matched only in others' words."""

import ast
import re
from collections.abc import Iterator, Mapping

import pytest

from tests.architecture.test_layers import MODULES

NOT_OURS = {
    "core.former_words": "the versions before",
    "core.jsonl": "OpenAI's client",
    "providers.local.model_servers": "Ollama",
    "providers.local.models.weights": "pip",
    "providers.sdk_errors": "providers",
    "results.causes.remedies": "providers",
    "results.causes.signs": "providers",
    "results.causes.theirs": "providers",
    "results.table": "DuckDB, which hands on what one constant had it say",
    "tables.connection": "DuckDB",
    "tables.csv_file": "Python's reader of CSV",
    "tables.json_file": "msgspec",
    "tables.sql_names": "DuckDB",
}
"""Where phrases are matched, and who wrote them."""
NAMES = {"app.connect": {"Other assistants", "VS Code"}, "checks.schema": {"the top"}}
"""What looks like a phrase, and is a name within one module."""

PHRASE = re.compile(r"[A-Za-z]{2,} \(?[A-Za-z]{2,}")
METHODS = {"startswith", "endswith", "removeprefix", "removesuffix", "find", "index", "split", "partition", "count"}
PATTERNS = {"compile", "match", "search", "fullmatch", "findall", "finditer", "sub", "split", "words"}


def named(tree: ast.Module) -> dict[str, str]:
    """Return the texts that a module gives a name."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


CONSTANTS = {name: named(tree) for name, tree in MODULES.items()}
LITERALS = {
    each.value
    for tree in MODULES.values()
    for node in ast.walk(tree)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal"
    for each in ast.walk(node.slice)
    if isinstance(each, ast.Constant)
}
"""Values of closed sets, which the type checker compares."""


def constants(name: str) -> Mapping[str, str]:
    """Return the texts that a module knows by a name, its own and those that it imports."""
    known = dict(CONSTANTS[name])
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.ImportFrom) and node.module:
            texts = CONSTANTS.get(node.module.removeprefix("batchwright."), {})
            known |= {alias.asname or alias.name: texts[alias.name] for alias in node.names if alias.name in texts}
    return known


def texts(node: ast.AST, known: Mapping[str, str]) -> Iterator[str]:
    """Return the texts in an expression, also by their names; what a call in it is given is not compared."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in known:
        yield known[node.id]
    elif not isinstance(node, ast.Call):
        for child in ast.iter_child_nodes(node):
            yield from texts(child, known)


def compared(tree: ast.AST) -> Iterator[ast.AST]:
    """Return what is compared with texts or looked for in them, and the patterns that are."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                yield from (left, *others)
            case ast.match_case(pattern=pattern):
                yield pattern
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=name), args=[first, *_]) if name in PATTERNS:
                yield first
            case ast.Call(func=ast.Attribute(attr=name), args=args) if name in METHODS:
                yield from args
            case ast.Call(func=ast.Name(id=name), args=args) if name in PATTERNS:
                yield from args
            case _:
                pass


@pytest.mark.parametrize("name", [name for name in MODULES if name not in NOT_OURS])
def test_no_phrase_of_this_program_is_matched(name: str) -> None:
    """A sentence that is put better would change what happens, and nobody would see it."""
    known = constants(name)
    found = {text for node in compared(MODULES[name]) for text in texts(node, known) if PHRASE.search(text)}

    assert found - LITERALS - NAMES.get(name, set()) == set()


@pytest.mark.parametrize("name", NOT_OURS)
def test_every_exception_is_still_needed(name: str) -> None:
    """One that is not would let a phrase of ours in."""
    known = constants(name)

    assert [text for node in compared(MODULES[name]) for text in texts(node, known) if PHRASE.search(text)] != []
