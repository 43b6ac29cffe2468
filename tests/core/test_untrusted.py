"""Texts of data and models, before they enter a conversation."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.untrusted import MAX_CELL_CHARACTERS, clean, clean_value

HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}

hiding = st.text(
    st.one_of(
        st.characters(categories=["Cc", "Cf", "Co", "Zl", "Zp"]),
        st.sampled_from("\x1b[]0m;\x07\u200b\u202e\u2066\ufe0f\U000e0041\U000e0100\n\tab"),
        st.characters(),
        st.just("\ud800"),
    )
)


@given(text=hiding)
def test_no_control_invisible_or_bidirectional_character_gets_through(text: str) -> None:
    """What the user cannot see, the assistant must not read."""
    passed = {c for c in clean(text) if unicodedata.category(c) in HIDDEN_CATEGORIES}

    assert passed <= {"\n", "\t"}


@given(text=hiding, most=st.integers(1, 50))
def test_what_is_shown_of_a_text_is_within_the_cap(text: str, most: int) -> None:
    """One cell must not fill the assistant's context."""
    shown = clean(text, most)

    assert len(shown.partition("… (")[0]) <= most
    assert len(shown) <= most + len("… (999,999 more)")


@pytest.mark.slow
@given(text=st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u115f\u1160\u3164\uffa0<![](")))
def test_a_visible_text_within_the_cap_is_untouched(text: str) -> None:
    """Cleaning is for what hides: letters of every script, digits and signs are the user's data."""
    assert clean(text, max(len(text), 1)) == text


def test_line_breaks_and_tabs_stay() -> None:
    """They are seen, and a text without them cannot be read; a lone carriage return can overwrite a line."""
    assert clean("a\r\nb\tc\rd") == "a\nb\tcd"


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07red",
        "\x1b]8;;http://example.com\x1b\\red\x1b]8;;\x1b\\",
        "\x1bcred",
        "red\x1b",
    ],
)
def test_terminal_escapes_go_with_what_they_carry(text: str) -> None:
    """Without its first character alone, a colour code would be left as litter, and a link's address would show."""
    assert clean(text) == "red"


@pytest.mark.parametrize(
    "code",
    [
        *[0xAD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180F, 0x200B, 0x200F, 0x202A, 0x202E],
        *[0x2060, 0x2065, 0x206F, 0x3164, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF0, 0xFFF8, 0x1BCA0, 0x1D173],
        *[0xE0000, 0xE0001, 0xE0002, 0xE0020, 0xE007F, 0xE0080, 0xE00FF, 0xE0100, 0xE01EF, 0xE01F0, 0xE0FFF],
    ],
    ids=lambda code: f"U+{code:04X}",
)
def test_every_range_that_unicode_draws_as_nothing_is_taken_out(code: int) -> None:
    """Both ends of each range of Default_Ignorable_Code_Point, assigned or not: all can carry a hidden message."""
    assert clean(f"a{chr(code)}b") == "ab"


@pytest.mark.parametrize("code", [0x00, 0x08, 0x7F, 0x85, 0x9B, 0x2028, 0x2029, 0xD800, 0xE000, 0x10FFFD], ids=hex)
def test_controls_separators_and_private_characters_are_taken_out(code: int) -> None:
    """What they do depends on who draws them; a line separator would let a cell begin a line of its own."""
    assert clean(f"a{chr(code)}b") == "ab"


def test_a_long_text_says_how_much_is_left_out() -> None:
    """A silent cut would look like the whole answer."""
    assert clean("a" * 250) == f"{'a' * MAX_CELL_CHARACTERS}… (50 more)"
    assert clean("a" * 1300, 200).endswith("a… (1,100 more)")
    assert clean("a" * 10_000, 200) == f"{'a' * 200}… (9,800 more)"
    assert clean("a" * 200) == "a" * 200


def test_text_behind_many_hidden_characters_is_shown_or_said_to_be_left_out() -> None:
    """A cell that looks empty, but is not, is a loss that nobody sees."""
    assert clean("\u200b" * 2000 + "hello", 200) != ""


def test_hidden_characters_do_not_count_against_the_cap() -> None:
    """The cap is for what is shown."""
    assert clean("\u200b" * 50 + "a" * 10, 10) == "a" * 10


def test_every_text_in_a_value_is_cleaned_keys_too() -> None:
    """A name of a property comes from the data as well."""
    value = {"k\u200b": ["a\u202eb", {"x": "c\x00"}], "n": 1, "f": 1.5, "t": True, "z": None}

    assert clean_value(value) == {"k": ["ab", {"x": "c"}], "n": 1, "f": 1.5, "t": True, "z": None}


def test_a_long_list_is_cut_and_says_so() -> None:
    """An embedding has thousands of numbers; the first ones show what it is."""
    assert clean_value(list(range(3000))) == [0, 1, 2, 3, 4, 5, 6, 7, "… (2,992 more)"]
    assert clean_value(list(range(8))) == list(range(8))


def test_texts_in_a_value_are_capped() -> None:
    """The cap holds at every depth, for keys at 64 characters."""
    assert clean_value([{"k" * 70: "v" * 20}], 10) == [{"k" * 64 + "… (6 more)": "v" * 10 + "… (10 more)"}]
