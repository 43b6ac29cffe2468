"""The operator's settings: each variable, what is refused, and what is never shown."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from batchwright.errors import InvalidInput
from batchwright.settings import SETTINGS, Settings

EXAMPLES: dict[str, tuple[str, str, Any]] = {
    "BATCHWRIGHT_WORKSPACE": ("/data/a:/data/b", "workspace", (Path("/data/a"), Path("/data/b"))),
    "BATCHWRIGHT_ENDPOINT": ("http://localhost:11434/v1/", "endpoint", "http://localhost:11434/v1"),
    "BATCHWRIGHT_ENDPOINT_KEY": ("sk-12345", "endpoint_key", "sk-12345"),
    "BATCHWRIGHT_MODEL": ("gpt-5-mini", "model", "gpt-5-mini"),
    "BATCHWRIGHT_CONCURRENCY": ("32", "concurrency", 32),
    "BATCHWRIGHT_LOCAL_MODEL": ("/models/m.gguf", "local_model", Path("/models/m.gguf")),
    "BATCHWRIGHT_DATA_DIR": ("/var/batchwright", "data_dir", Path("/var/batchwright")),
    "BATCHWRIGHT_CACHE_DIR": ("/cache", "cache_dir", Path("/cache")),
    "BATCHWRIGHT_LOG_LEVEL": ("debug", "log_level", "DEBUG"),
}
"""For each variable: a value, the field it sets, and what that holds then."""


@pytest.mark.parametrize("variable", [setting.name for setting in SETTINGS])
def test_each_documented_variable_sets_its_own_field_and_no_other(variable: str) -> None:
    """The documentation is made from the same list, so every line of it must be true."""
    value, field, expected = EXAMPLES[variable]

    settings = Settings.from_env({variable: value})

    assert settings == Settings(**{field: expected})


def test_an_empty_environment_gives_the_defaults() -> None:
    """The server must start with nothing set at all."""
    assert Settings.from_env({}) == Settings()


def test_a_variable_that_is_empty_or_blank_counts_as_absent() -> None:
    """Clients write a setting that the user left out as an empty text."""
    blank = {setting.name: " " for setting in SETTINGS}

    assert Settings.from_env(blank) == Settings()


def test_variables_of_other_programs_are_left_alone() -> None:
    """The environment is shared: only names with the program's own beginning are its business."""
    environ = {"PATH": "/bin", "OPENAI_API_KEY": "sk-1", "batchwright_model": "m", "MY_BATCHWRIGHT_X": "1"}

    assert Settings.from_env(environ) == Settings()


def test_an_unknown_name_is_refused_and_the_known_ones_are_listed() -> None:
    """A setting that was mistyped would otherwise be without effect, and nobody would know."""
    with pytest.raises(InvalidInput) as caught:
        Settings.from_env({"BATCHWRIGHT_WORKSPACES": "/very/private"})

    assert "BATCHWRIGHT_WORKSPACES" in str(caught.value)
    assert all(setting.name in str(caught.value) for setting in SETTINGS)
    assert "/very/private" not in str(caught.value)


def test_names_for_tests_are_allowed() -> None:
    """The tests are steered by variables too, and must not stop the server that they start."""
    assert Settings.from_env({"BATCHWRIGHT_TEST_TOKENIZER": "/x"}) == Settings()


@pytest.mark.parametrize(
    "key", ["sk-hidden\npart", "sk-hidden part", "sk-hidden\tpart", "sk-hidden\x7fpart", "sk-hiddené"]
)
def test_a_key_with_a_character_that_no_key_has_is_refused_without_showing_it(key: str) -> None:
    """Such a key breaks the header of every request; the error goes to a log."""
    with pytest.raises(InvalidInput, match="BATCHWRIGHT_ENDPOINT_KEY") as caught:
        Settings.from_env({"BATCHWRIGHT_ENDPOINT_KEY": key})

    assert "hidden" not in str(caught.value)
    assert caught.value.__context__ is None


def test_white_space_around_a_key_is_taken_off() -> None:
    """A key that was read from a file ends with a newline."""
    assert Settings.from_env({"BATCHWRIGHT_ENDPOINT_KEY": " sk-1\n"}).endpoint_key == "sk-1"


def test_the_key_is_in_no_text_form_of_the_settings() -> None:
    """Settings are logged and shown in errors; the key must not be."""
    settings = Settings.from_env({"BATCHWRIGHT_ENDPOINT_KEY": "sk-hidden", "BATCHWRIGHT_MODEL": "m"})

    assert "sk-hidden" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:11434/v1",
        "ftp://host/v1",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "http://[::1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://local host/v1",
        "http://host/v1\nX-Evil: 1",
    ],
)
def test_an_endpoint_that_is_no_web_address_is_refused(url: str) -> None:
    """Better at the start, in a sentence, than at the first request of a job."""
    with pytest.raises(InvalidInput, match="BATCHWRIGHT_ENDPOINT"):
        Settings.from_env({"BATCHWRIGHT_ENDPOINT": url})


@pytest.mark.parametrize("url", ["http://ann:hidden@host/v1", "http://:hidden@host", "https://host/v1?key=hidden"])
def test_an_endpoint_that_carries_a_secret_is_refused_without_showing_it(url: str) -> None:
    """The endpoint is shown to the user in every answer about a job."""
    with pytest.raises(InvalidInput, match="BATCHWRIGHT_ENDPOINT_KEY") as caught:
        Settings.from_env({"BATCHWRIGHT_ENDPOINT": url})

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "http://127.0.0.1:8000", "http://[::1]:8080/v1"])
def test_an_endpoint_that_is_a_web_address_is_kept_as_it_is(url: str) -> None:
    """Names, numbers, ports and IPv6 are all in use."""
    assert Settings.from_env({"BATCHWRIGHT_ENDPOINT": url}).endpoint == url


@pytest.mark.parametrize("number", ["1", "1024"])
def test_concurrency_may_be_anything_from_1_to_1024(number: str) -> None:
    """Both ends belong to the range that the error names."""
    assert Settings.from_env({"BATCHWRIGHT_CONCURRENCY": number}).concurrency == int(number)


@pytest.mark.parametrize(
    "text", ["0", "1025", "-1", "2.5", "1e2", "many", "²", pytest.param("9" * 5000, id="5,000 digits")]
)
def test_a_concurrency_that_is_no_number_in_the_range_is_refused(text: str) -> None:
    """None at all would never end, and too many would open more connections than a system has."""
    with pytest.raises(InvalidInput, match="BATCHWRIGHT_CONCURRENCY"):
        Settings.from_env({"BATCHWRIGHT_CONCURRENCY": text})


def test_an_unknown_log_level_is_refused_and_the_known_ones_are_listed() -> None:
    """The level is chosen when something is wrong already: a silent fallback would hide it."""
    with pytest.raises(InvalidInput, match=r"'LOUD'.*DEBUG, INFO, WARNING, ERROR"):
        Settings.from_env({"BATCHWRIGHT_LOG_LEVEL": "LOUD"})


def test_workspace_folders_are_separated_as_the_system_separates_them() -> None:
    """On Windows a colon belongs to the drive."""
    settings = Settings.from_env({"BATCHWRIGHT_WORKSPACE": "C:\\data;;D:\\more"}, path_separator=";")

    assert settings.workspace == (Path("C:\\data").absolute(), Path("D:\\more").absolute())


def test_a_tilde_means_the_home_folder() -> None:
    """No shell expands what a client's configuration file says."""
    settings = Settings.from_env({"BATCHWRIGHT_WORKSPACE": "~/data", "BATCHWRIGHT_DATA_DIR": "~/jobs"})

    assert settings.workspace == (Path.home() / "data",)
    assert settings.data_dir == Path.home() / "jobs"


@pytest.mark.parametrize("variable", ["BATCHWRIGHT_WORKSPACE", "BATCHWRIGHT_DATA_DIR", "BATCHWRIGHT_LOCAL_MODEL"])
def test_the_home_of_a_user_who_does_not_exist_is_refused_in_a_sentence(variable: str) -> None:
    """A mistyped path is the operator's mistake, not a crash of the program."""
    with pytest.raises(InvalidInput, match=variable):
        Settings.from_env({variable: "~no-such-user-here/data"})


def test_a_relative_folder_is_made_absolute() -> None:
    """The jobs must not move when the working folder changes."""
    assert Settings.from_env({"BATCHWRIGHT_DATA_DIR": "jobs"}).data_dir == Path.cwd() / "jobs"


def test_the_folders_for_data_and_cache_are_the_settings_or_the_system_s() -> None:
    """Without settings, each system has its own place for both, and the two differ."""
    chosen = Settings(data_dir=Path("/d"), cache_dir=Path("/c"))
    default = Settings()

    assert (chosen.data_folder(), chosen.cache_folder()) == (Path("/d"), Path("/c"))
    assert default.data_folder().is_absolute()
    assert "batchwright" in default.data_folder().parts
    assert default.data_folder() != default.cache_folder()


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    """Every part of the program may rely on the same settings from start to end."""
    settings = Settings()

    with pytest.raises(FrozenInstanceError):
        settings.model = "other"  # pyright: ignore[reportAttributeAccessIssue]  # that it is refused is the point
