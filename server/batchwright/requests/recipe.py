"""A row and a recipe to a request body, for each endpoint. Pure: knows neither files nor providers."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, assert_never, cast

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Endpoint, Json, Recipe
from batchwright.core.untrusted import quote_name, quote_names

if TYPE_CHECKING:
    import minijinja

MAX_TEXT_CHARACTERS = 10_000_000
"""Limit for one rendered prompt: far above any model's context, far below what fills the memory."""

_FUEL = 1_000_000
_BUILT_IN = frozenset({"dict", "namespace", "range", "row"})
_WORDS = frozenset(
    {
        *("and", "or", "not", "in", "is", "if", "else", "elif", "endif", "for", "endfor", "set"),
        *("true", "false", "none", "True", "False", "None", "loop", "self"),
    }
)
"""Names with another meaning in a template."""
_RAW = re.compile(r"(\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\})", re.DOTALL)
_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_WORD = re.compile(r"\w+")
_ROW = re.compile(r"(?<![\w.\"'])row\b")
_LOOKUP = re.compile(r"""(?<![\w."'])row\[("(?:[^"\\]|\\.)*")\]""")

_OWN_PARAMETERS: Mapping[Endpoint, Mapping[str, str]] = {
    "/v1/chat/completions": {"model": "model", "messages": "prompt and system", "response_format": "output_schema"},
    "/v1/responses": {"model": "model", "input": "prompt", "instructions": "system"},
    "/v1/embeddings": {"model": "model", "input": "prompt"},
}
"""Body fields that a separate argument sets."""


def body_builder(recipe: Recipe, columns: Sequence[str]) -> Callable[[Mapping[str, Json]], dict[str, Json]]:
    """Compile *recipe* against *columns* into a function from a row to a request body.

    The prompt and the system text are Jinja templates: `{{column}}` for any column name, also one with spaces, and
    `{% if %}`, filters and `row["name"]`. A missing value renders as nothing, a list or an object as JSON.

    Raises:
        InvalidInput: A template is broken or names an unknown column, or the parameters contradict the recipe.
            From the function: a row cannot be rendered.
    """
    if recipe.prompt is None or not recipe.prompt.strip():
        raise InvalidInput("There is no prompt. Pass one that names its columns as {{column}}.")
    check_parameters(recipe)
    prompt = _template(recipe.prompt, "prompt", columns)
    system = _template(recipe.system, "system text", columns) if recipe.system else None

    def body(row: Mapping[str, Json]) -> dict[str, Json]:
        return _body(recipe, prompt(row), system(row) if system else None)

    return body


def shared_body(recipe: Recipe) -> dict[str, Json]:
    """Return the body that all requests of *recipe* share, with empty texts."""
    return _body(recipe, "", "" if recipe.system else None)


def template_columns(recipe: Recipe, columns: Sequence[str]) -> list[str]:
    """Return the columns that the recipe's texts may use, in order; all of them if a template takes the whole row.

    Raises:
        InvalidInput: As for `body_builder`.
    """
    used: set[str] = set()
    for text, name in ((recipe.prompt, "prompt"), (recipe.system, "system text")):
        if text:
            used |= _used_columns(text, name, columns)
    return [column for column in columns if column in used]


def single_braces(prompt: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that *prompt* names as `{column}`, which is plain text, if it has no `{{column}}` at all."""
    return [] if "{{" in prompt else [column for column in columns if f"{{{column}}}" in prompt]


def check_parameters(recipe: Recipe) -> None:
    """Refuse parameters that the recipe itself sets, or that no batch accepts.

    Raises:
        InvalidInput: There is such a parameter.
    """
    for name, argument in _OWN_PARAMETERS[recipe.endpoint].items():
        if name in recipe.parameters:
            raise InvalidInput(f"The parameter {name!r} is set by the argument {argument}. Pass it there.")
    if "stream" in recipe.parameters:
        raise InvalidInput("A batch cannot stream its answers. Leave out the parameter 'stream'.")
    if recipe.endpoint != "/v1/embeddings" and recipe.inputs_per_request != 1:
        raise InvalidInput("Only /v1/embeddings accepts several inputs in a request. Leave out inputs_per_request.")
    if recipe.endpoint == "/v1/embeddings" and (recipe.system or recipe.output_schema):
        raise InvalidInput("Embeddings accept neither a system text nor an output schema. Leave them out.")
    text = recipe.parameters.get("text", {})
    if recipe.endpoint == "/v1/responses" and not isinstance(text, Mapping):
        raise InvalidInput('The parameter \'text\' must be an object, like {"verbosity": "low"}. Pass one or omit it.')
    if recipe.endpoint == "/v1/responses" and "format" in text:
        raise InvalidInput("The parameter 'text.format' is set by the argument output_schema. Pass it there.")


def _body(recipe: Recipe, prompt: str, system: str | None) -> dict[str, Json]:
    match recipe.endpoint:
        case "/v1/chat/completions":
            messages = [{"role": "system", "content": system}] if system is not None else []
            body: dict[str, Json] = {
                "model": recipe.model,
                "messages": [*messages, {"role": "user", "content": prompt}],
                **recipe.parameters,
            }
            if recipe.output_schema:
                schema = {"name": "answer", "strict": True, "schema": recipe.output_schema}
                body["response_format"] = {"type": "json_schema", "json_schema": schema}
        case "/v1/responses":
            body = {"model": recipe.model, "input": prompt, **recipe.parameters}
            if system is not None:
                body["instructions"] = system
            if recipe.output_schema:
                schema = {"type": "json_schema", "name": "answer", "strict": True, "schema": recipe.output_schema}
                body["text"] = {**recipe.parameters.get("text", {}), "format": schema}
        case "/v1/embeddings":
            body = {"model": recipe.model, "input": prompt, **recipe.parameters}
        case _:
            assert_never(recipe.endpoint)
    return body


def _template(text: str, name: str, columns: Sequence[str]) -> Callable[[Mapping[str, Json]], str]:
    import minijinja

    env = _environment()
    source = _with_lookups(text, columns)
    used = _used_columns(text, name, columns)
    env.add_template(name, source)

    def render(row: Mapping[str, Json]) -> str:
        # An empty text prints as nothing, also after a filter, where null would print as a word.
        cells = {column: "" if row[column] is None else row[column] for column in used}
        try:
            rendered = env.render_template(name, **{**cells, "row": cells})
        except minijinja.TemplateError as error:
            raise InvalidInput(f"The {name} cannot be filled: {_reason(error)}. Fix the template.") from error
        if len(rendered) > MAX_TEXT_CHARACTERS:
            raise InvalidInput(f"The {name} has {len(rendered):,} characters when filled. Send less of the row.")
        return rendered

    return render


def _used_columns(text: str, name: str, columns: Sequence[str]) -> set[str]:
    import minijinja

    env = _environment()
    source = _with_lookups(text, columns)
    try:
        env.add_template(name, source)
        variables = env.undeclared_variables_in_str(source)
    except (minijinja.TemplateError, UnicodeEncodeError) as error:
        raise InvalidInput(
            f"The {name} is not a valid template: {_reason(error)}. "
            "Write columns as {{column}}. To use {{ or {% as text, put it inside {% raw %}...{% endraw %}."
        ) from error
    known = set(columns)
    if unknown := sorted(variables - known - _BUILT_IN):
        raise InvalidInput(
            f"The {name} names the column {quote_name(unknown[0])}, which does not exist. {_listed(columns)}"
        )
    code = "".join(tag for text in _code(source) for tag in _TAG.findall(text))
    try:
        looked_up = [msgspec.json.decode(name) for name in _LOOKUP.findall(code)]
    except msgspec.DecodeError:
        return known
    # Which cells a template takes out of `row` can be seen only where each is a plain look-up, written as in JSON.
    if len(looked_up) < len(_ROW.findall(code)):
        return known
    # A column that the template sets anew is no longer among its variables, but may be read before.
    return known & {*looked_up, *_WORD.findall(code)}


def _environment() -> "minijinja.Environment":
    import minijinja

    env = minijinja.Environment()
    env.undefined_behavior = "strict"
    env.auto_escape_callback = lambda _name: False
    env.keep_trailing_newline = True
    env.fuel = _FUEL
    env.remove_global("debug")
    env.finalizer = _show
    # Prompts are prose: `{#` is more often meant as text than as a comment, which would vanish without a word.
    env.comment_start_string, env.comment_end_string = "{#comment#", "#comment#}"
    return env


def _with_lookups(text: str, columns: Sequence[str]) -> str:
    """Rewrite `{{a column}}` as a look-up in the row, if its name is not a variable name."""
    # A name may hold a middle dot, which is no character of a word.
    looked_up = {name for name in columns if not (name.isidentifier() and re.fullmatch(r"\w+", name))}
    looked_up |= {name for name in columns if name in _WORDS | _BUILT_IN}

    def lookup(match: re.Match[str]) -> str:
        # What stands before a filter may be the name, or the whole.
        for name in (match[1], match[1].partition("|")[0].rstrip()):
            if name in looked_up:
                return match[0].replace(name, f"row[{_quote(name)}]", 1)
        return match[0]

    pieces = _RAW.split(text)
    # Every second piece is a raw block, and stays as it is.
    return "".join(piece if place % 2 else _PLACEHOLDER.sub(lookup, piece) for place, piece in enumerate(pieces))


def _code(source: str) -> Sequence[str]:
    return _RAW.split(source)[::2]


def _quote(name: str) -> str:
    return msgspec.json.encode(name).decode()


def _show(value: Json) -> Json:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() | dict():
            return msgspec.json.encode(cast("object", value)).decode()
        case _:
            return value


def _reason(error: Exception) -> str:
    """Return the first line of a template error, without the excerpt of the template that follows it."""
    return str(error).splitlines()[0].split(" (in ")[0]


def _listed(columns: Sequence[str], most: int = 40) -> str:
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return f"Columns: {quote_names(columns[:most])}{more}."
