"""Rows and recipes to request bodies: what templates may say, and what is sent to each endpoint."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Endpoint, Json, Recipe
from batchwright.requests.recipe import MAX_TEXT_CHARACTERS, body_builder, check_parameters, template_columns

CHAT: Endpoint = "/v1/chat/completions"
RESPONSES: Endpoint = "/v1/responses"
EMBEDDINGS: Endpoint = "/v1/embeddings"
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}}


def filled(prompt: str, row: dict[str, Json]) -> str:
    """Give *prompt* filled with *row*, whose columns are all there are."""
    return body_builder(Recipe(EMBEDDINGS, "m", prompt), list(row))(row)["input"]


def used(prompt: str, columns: Sequence[str], *, system: str | None = None) -> list[str]:
    """Give the columns that the templates may use."""
    return template_columns(Recipe(CHAT, "m", prompt, system), columns)


# --- templates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "row", "text"),
    [
        ("Label: {{text}}", {"text": "late"}, "Label: late"),
        ("{{ text }}|{{text}}", {"text": "late"}, "late|late"),
        ("a {{- text -}} b", {"text": "-"}, "a-b"),
        ("{{ Customer Name }}", {"Customer Name": "Ann"}, "Ann"),
        ("{{größe}} {{2nd}} {{a.b}} {{a-b}}", {"größe": 1, "2nd": 2, "a.b": 3, "a-b": 4}, "1 2 3 4"),
        ('{{ say "hi" \\ ok }}', {'say "hi" \\ ok': "x"}, "x"),
        ("{{range}} {{none}} {{true}} {{row}}", {"range": 1, "none": 2, "true": 3, "row": 4}, "1 2 3 4"),
        ('{{ row["Customer Name"] | upper }}', {"Customer Name": "Ann"}, "ANN"),
        ("{{ row['text'] }} {{ row.text }}", {"text": "x"}, "x x"),
        ("{% if stars > 3 %}good{% else %}bad{% endif %}", {"stars": 4}, "good"),
        ("{% if stars > 3 %}good{% else %}bad{% endif %}", {"stars": 2}, "bad"),
        ("{% if note %}Note: {{note}}{% endif %}.", {"note": None}, "."),
        ("{% for tag in tags %}<{{ tag }}>{% endfor %}", {"tags": ["a", "b"]}, "<a><b>"),
        ("{{ text | upper | replace('A', 'b') }}", {"text": "aa"}, "bb"),
        ("{{ item.price }}", {"item": {"price": 3}}, "3"),
        ('{"json": {"like": {{n}}}}', {"n": 1}, '{"json": {"like": 1}}'),
        ("{% raw %}{{ not a column }}{% endraw %}", {"text": "x"}, "{{ not a column }}"),
        ("{#1 rule}{# a note #}{{text}}\n", {"text": "x"}, "{#1 rule}{# a note #}x\n"),
        ("{{ a b | upper }}", {"a b": "x"}, "X"),
        ("no columns", {}, "no columns"),
    ],
)
def test_a_prompt_is_filled_from_its_row(prompt: str, row: dict[str, Json], text: str) -> None:
    """Columns by any name, conditions, loops and filters: what users write in prompts."""
    assert filled(prompt, row) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (-1.5, "-1.5"),
        (["é", None, True], '["é",null,true]'),
        ({"b": [1], "a": None}, '{"b":[1],"a":null}'),
        ([], "[]"),
        ("<b>&'\"</b>", "<b>&'\"</b>"),
        ("line\nbreak\n", "line\nbreak\n"),
    ],
)
def test_a_cell_is_written_as_its_text_or_as_json(cell: Json, text: str) -> None:
    """Python's `None` and `True` would mislead a model, and nothing is escaped as if it were HTML."""
    assert filled("{{cell}}", {"cell": cell}) == text


@pytest.mark.parametrize("prompt", ["{{ cell | upper }}", "{{ cell | trim }}", '{{ "" ~ cell }}'])
def test_a_missing_value_is_nothing_to_filters_too(prompt: str) -> None:
    """The model would read the word "None" as what the user wrote."""
    assert filled(prompt, {"cell": None}) == ""


@given(cell=st.text())
def test_text_in_a_cell_is_not_a_template(cell: str) -> None:
    """Data cannot reach other cells, nor break the prompt: it is put in once, as it is."""
    for text in (cell, "{{ secret }} {% if x %} {# " + cell):
        assert filled("<{{cell}}>", {"cell": text, "secret": "s"}) == f"<{text}>"


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="{}"), min_size=1).filter(
        lambda name: name == name.strip()
    )
)
@example(name="A\u00b7")
def test_a_column_may_have_any_name_without_braces(name: str) -> None:
    """Headers of real tables hold quotes, dots, dashes, backslashes and line breaks."""
    assert filled(f"<{{{{ {name} }}}}>", {name: "cell", "other": "no"}) == "<cell>"
    assert used(f"{{{{ {name} }}}}", ["other column", name]) == [name]


def test_a_raw_block_is_left_as_it_is_also_when_it_names_a_column() -> None:
    """It is what the program itself advises for braces that are meant as text."""
    assert filled("{% raw %}Write {{name}}.{% endraw %}", {"name": "Ann"}) == "Write {{name}}."


def test_a_loop_variable_may_have_the_name_of_a_column() -> None:
    """Inside the loop the nearer name counts, as in every template."""
    row: dict[str, Json] = {"tags": ["a", "b"], "tag": "column"}

    assert filled("{% for tag in tags %}{{ tag }},{% endfor %}{{ tag }}", row) == "a,b,column"


def test_a_name_that_the_template_sets_is_the_one_that_is_written() -> None:
    """`{% set text = text | upper %}` is meant to change what follows."""
    assert filled("{% set text = text | upper %}{{ text }}", {"text": "late"}) == "LATE"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("{{ row }}", '{"text":"late"}'),
        ("{{ row | tojson }}", '{"text": "late"}'),
        ("{% for name in row %}{{ name }}{% endfor %}", "text"),
        ("{% for name, cell in row | items %}{{ name }}={{ cell }}{% endfor %}", "text=late"),
        ('{% set r = row %}{{ r["text"] }}', "late"),
        ('{{ row ["text"] }}', "late"),
        ('{{ row | attr("text") }}', "late"),
    ],
)
def test_a_template_may_take_the_whole_row(prompt: str, text: str) -> None:
    """An empty object in place of the row would be paid for, row after row."""
    assert filled(prompt, {"text": "late"}) == text


def test_an_unknown_column_is_refused_and_the_columns_are_listed() -> None:
    """The assistant corrects the name from the list, without another call."""
    with pytest.raises(
        InvalidInput, match=r"The prompt names the column 'txt', which does not exist\. Columns: 'id', 'text'\."
    ):
        body_builder(Recipe(CHAT, "m", "{{txt}} {{id}}"), ["id", "text"])


def test_an_unknown_column_of_the_system_text_is_refused_as_such() -> None:
    """Two templates, two places to look."""
    with pytest.raises(InvalidInput, match=r"The system text names the column 'lang', which does not exist"):
        body_builder(Recipe(CHAT, "m", "{{text}}", system="Answer in {{lang}}."), ["text"])


def test_a_long_list_of_columns_is_cut_and_says_so() -> None:
    """A table of a thousand columns must not fill the answer."""
    with pytest.raises(InvalidInput, match=r"Columns: 'c0', 'c1', .*'c39' and 10 more\.$"):
        body_builder(Recipe(CHAT, "m", "{{x}}"), [f"c{n}" for n in range(50)])


def test_an_unknown_column_taken_from_the_row_is_refused() -> None:
    """An empty place in the prompt would go unnoticed."""
    with pytest.raises(InvalidInput, match=r"The prompt cannot be filled: [^\n]+\. Fix the template\."):
        filled('{{ row["nope"] }}', {"text": "x"})


@pytest.mark.parametrize(
    "prompt", ["{{text", "{% if text %}x", "{{ text | }}", "{% nope %}", '{{"a": 1}}', "{{ a b }}"]
)
def test_a_broken_template_is_refused_with_how_columns_are_written(prompt: str) -> None:
    """Most are JSON examples with double braces."""
    with pytest.raises(InvalidInput, match=r"^The prompt is not a valid template: .+\{\{column\}\}\. .*raw"):
        body_builder(Recipe(CHAT, "m", prompt), ["text"])


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ text | nope }}",
        "{{ text.x.y }}",
        "{% include 'other' %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    ],
)
def test_a_template_that_cannot_be_filled_says_why_in_one_line(prompt: str) -> None:
    """An endless one ends too."""
    with pytest.raises(InvalidInput, match=r"^The prompt cannot be filled: [^\n]+\. Fix the template\.$"):
        filled(prompt, {"text": "x"})


def test_a_filled_prompt_has_a_largest_size() -> None:
    """A slip in a template must not fill the memory."""
    with pytest.raises(
        InvalidInput, match=r"The prompt has 10,000,001 characters when filled\. Send less of the row\."
    ):
        filled("{{text}}!", {"text": "x" * MAX_TEXT_CHARACTERS})


def test_a_recipe_without_a_prompt_is_refused() -> None:
    """Only a ready-made batch file has none, and needs no bodies."""
    with pytest.raises(InvalidInput, match=r"There is no prompt\. Pass one"):
        body_builder(Recipe(CHAT, "m"), ["text"])


# --- which columns are used ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "columns"),
    [
        ("{{c}} {{a}} {{a}}", ["a", "c"]),
        ("{% if a %}{{ c | upper }}{% endif %}", ["a", "c"]),
        ('{{ row["b d"] }}', ["b d"]),
        ("{{ b d }}", ["b d"]),
        ("no columns", []),
        ("{{ row[a] }}", ["a", "b d", "c"]),
        ("{{ row['a'] }}", ["a", "b d", "c"]),
        ("{{ row.a }}", ["a", "b d", "c"]),
        ("{{ row }}", ["a", "b d", "c"]),
        ("{{ row | tojson }}", ["a", "b d", "c"]),
        ("{% for name in row %}{{ name }}{% endfor %}", ["a", "b d", "c"]),
    ],
)
def test_only_the_columns_that_a_template_may_use_are_read(prompt: str, columns: list[str]) -> None:
    """A wide table is not read for one column; where it cannot be told, all are."""
    assert used(prompt, ["a", "b d", "c"]) == columns


def test_the_system_text_uses_columns_too() -> None:
    """Both are filled from the same row."""
    assert used("{{c}}", ["a", "b", "c"], system="{{a}}") == ["a", "c"]
    assert template_columns(Recipe(CHAT, "m"), ["a"]) == []


# --- bodies --------------------------------------------------------------------------------------------------------


def test_a_chat_body_has_the_system_text_before_the_prompt() -> None:
    """Both are templates over the row."""
    recipe = Recipe(CHAT, "gpt-5-mini", "{{text}}", "Answer in {{lang}}.", parameters={"max_completion_tokens": 50})

    assert body_builder(recipe, ["text", "lang"])({"text": "Hallo", "lang": "German"}) == {
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": "Answer in German."}, {"role": "user", "content": "Hallo"}],
        "max_completion_tokens": 50,
    }


@pytest.mark.parametrize("system", [None, ""])
def test_without_a_system_text_there_is_no_system_message(system: str | None) -> None:
    """An empty one is paid for on every row."""
    body = body_builder(Recipe(CHAT, "m", "Hi", system), [])({})

    assert body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_chat_body_asks_for_the_schema_in_response_format() -> None:
    """The form differs between endpoints, and the wrong one fails every line."""
    body = body_builder(Recipe(CHAT, "m", "Hi", output_schema=SCHEMA), [])({})

    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
    }


def test_a_responses_body_has_input_and_instructions() -> None:
    """The Responses API's words for prompt and system text."""
    recipe = Recipe(RESPONSES, "m", "{{text}}", "Be brief.", parameters={"reasoning": {"effort": "low"}})

    assert body_builder(recipe, ["text"])({"text": "Hi"}) == {
        "model": "m",
        "input": "Hi",
        "instructions": "Be brief.",
        "reasoning": {"effort": "low"},
    }


def test_a_responses_body_asks_for_the_schema_in_text_format_beside_other_settings() -> None:
    """`text` holds more than the format, and none of it may be lost."""
    recipe = Recipe(RESPONSES, "m", "Hi", output_schema=SCHEMA, parameters={"text": {"verbosity": "low"}})

    assert body_builder(recipe, [])({}) == {
        "model": "m",
        "input": "Hi",
        "text": {
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "answer", "strict": True, "schema": SCHEMA},
        },
    }
    assert recipe.parameters == {"text": {"verbosity": "low"}}


def test_a_text_parameter_that_is_no_object_is_refused_where_the_schema_needs_it() -> None:
    """Otherwise it is found at the first row, as a crash."""
    with pytest.raises(InvalidInput, match=r"'text"):
        body_builder(Recipe(RESPONSES, "m", "Hi", output_schema=SCHEMA, parameters={"text": None}), [])({})


def test_an_embeddings_body_has_the_text_as_input() -> None:
    """Nothing is put around the text: it would change every vector."""
    recipe = Recipe(EMBEDDINGS, "text-embedding-3-small", "{{text}}", parameters={"dimensions": 256})

    assert body_builder(recipe, ["text"])({"text": "cat"}) == {
        "model": "text-embedding-3-small",
        "input": "cat",
        "dimensions": 256,
    }


def test_bodies_of_different_rows_share_nothing() -> None:
    """A row must not show up in the next one's request."""
    build = body_builder(Recipe(CHAT, "m", "{{text}}"), ["text"])

    first, second = build({"text": "one"}), build({"text": "two"})

    assert [body["messages"][0]["content"] for body in (first, second)] == ["one", "two"]


@pytest.mark.parametrize(
    ("endpoint", "parameter", "argument"),
    [
        (CHAT, "model", "model"),
        (CHAT, "messages", "prompt and system"),
        (CHAT, "response_format", "output_schema"),
        (RESPONSES, "model", "model"),
        (RESPONSES, "input", "prompt"),
        (RESPONSES, "instructions", "system"),
        (EMBEDDINGS, "model", "model"),
        (EMBEDDINGS, "input", "prompt"),
    ],
)
def test_a_parameter_that_has_an_argument_of_its_own_is_refused(
    endpoint: Endpoint, parameter: str, argument: str
) -> None:
    """One would silently win over the other."""
    with pytest.raises(InvalidInput, match=f"'{parameter}' is set by the argument {argument}. Pass it there."):
        body_builder(Recipe(endpoint, "m", "Hi", parameters={parameter: "x"}), [])


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES, EMBEDDINGS])
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_batch_cannot_stream(endpoint: Endpoint, is_streamed: bool) -> None:  # noqa: FBT001
    """The Batch API refuses the whole file for it."""
    with pytest.raises(InvalidInput, match=r"cannot stream its answers\. Leave out the parameter 'stream'\."):
        check_parameters(Recipe(endpoint, "m", "Hi", parameters={"stream": is_streamed}))


def test_the_format_of_a_responses_text_is_the_schemas() -> None:
    """It is the one part of `text` that has an argument of its own."""
    with pytest.raises(InvalidInput, match=r"'text\.format' is set by the argument output_schema"):
        check_parameters(Recipe(RESPONSES, "m", "Hi", parameters={"text": {"format": {"type": "json_object"}}}))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(EMBEDDINGS, "m", "{{text}}", system="Be brief."),
        Recipe(EMBEDDINGS, "m", "{{text}}", output_schema=SCHEMA),
    ],
    ids=["system", "output_schema"],
)
def test_embeddings_take_neither_a_system_text_nor_a_schema(recipe: Recipe) -> None:
    """There is no answer that could follow them."""
    with pytest.raises(InvalidInput, match=r"Embeddings accept neither a system text nor an output schema"):
        check_parameters(recipe)


def test_other_endpoints_words_are_ordinary_parameters() -> None:
    """Only what this endpoint's arguments set is refused."""
    check_parameters(Recipe(CHAT, "m", "Hi", parameters={"instructions": "x", "text": {"format": 1}, "temperature": 0}))
