"""Templates with characters that no template needs: each is filled, or refused in one sentence."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Recipe
from batchwright.requests.recipe import body_builder, template_columns
from batchwright.requests.rendering import Renderer
from tests.support.session import environment, in_memory

CONTROLS = [chr(code) for code in (*range(0x20), 0x7F, 0x85, 0x9B, 0x2028, 0x202E, 0xD800, 0xE0041)]
COLUMNS = ["a", "b c", "x\x1b", "q\"'\\"]
PIECES = [
    *"[]\"'ax.|)\\ ~",
    *("{{", "}}", "{%", "%}", "row", "b c", "upper", "default(", "\\u", "{{row[", "]}}", "{{a}}", "{{b c}}"),
    *("if ", "endif", "for a in row", "endfor", "raw", "endraw", "set a = "),
]
TEMPLATES = st.lists(st.sampled_from([*PIECES, *CONTROLS]) | st.text(max_size=2), max_size=12).map("".join)


def _is_filled_or_refused(template: str) -> None:
    recipe = Recipe("/v1/chat/completions", "m", template)
    row = dict.fromkeys(COLUMNS, "cell")
    try:
        template_columns(recipe, COLUMNS)
        body_builder(recipe, COLUMNS)(row)
        Renderer(recipe, COLUMNS)
    except InvalidInput as error:
        said = str(error)
    else:
        said = ""
    assert len(said.splitlines()) <= 1


@given(template=TEMPLATES)
def test_no_template_is_a_fault_of_the_server(template: str) -> None:
    """A prompt is written by a model, which may repeat what stands in the data."""
    _is_filled_or_refused(template)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"U+{ord(control):04X}")
@pytest.mark.parametrize(
    "template",
    ['{{row["x?"]}}', "{{row['x?']}}", "{{x?}}", "{{a|upper?}}", '{{a|default("?")}}', '{% if a == "?" %}y{% endif %}'],
)
def test_a_control_character_in_any_place_of_a_template_is_filled_or_refused(template: str, control: str) -> None:
    """In a name, a filter and a text."""
    _is_filled_or_refused(template.replace("?", control))


def test_a_look_up_with_a_control_character_finds_the_column_of_that_name() -> None:
    """It is a name like any other."""
    build = body_builder(Recipe("/v1/chat/completions", "m", '{{row["x\x1b"]}} {{x\x1b}}'), COLUMNS)

    assert build(dict.fromkeys(COLUMNS, "cell"))["messages"][0]["content"] == "cell cell"


@pytest.mark.anyio
@pytest.mark.parametrize("prompt", ['{{row["x\x1b"]}}', "{{row['\x00']}}", '{{row["\\x41"]}}', "{{a\x1b}}"])
async def test_the_tool_refuses_it_in_a_sentence(tmp_path: Path, prompt: str) -> None:
    """What is a fault of the server sends the user to the doctor for nothing."""
    async with in_memory(environment(tmp_path, endpoint="http://127.0.0.1:9/v1")) as session:
        said = await session.error("create_batch_file", rows=[{"a": "1"}], prompt=prompt, model="m")

    assert "fault of this server" not in said
    assert not any(c in said for c in CONTROLS)
