"""The operator's settings: each variable, what is refused, and what is never shown."""

import os
from dataclasses import FrozenInstanceError
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchwright.core.errors import InvalidInput
from batchwright.core.settings import SETTINGS, Setting, Settings

EXAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "BATCHWRIGHT_WORKSPACE": (f"/data/a{os.pathsep}/data/b", {"workspace": (Path("/data/a"), Path("/data/b"))}),
    "OPENAI_API_KEY": ("sk-12345", {"openai_key": "sk-12345", "provider": "openai"}),
    "OPENAI_BASE_URL": (
        "https://res.openai.azure.com/openai/v1/",
        {"openai_url": "https://res.openai.azure.com/openai/v1"},
    ),
    "BATCHWRIGHT_ENDPOINT": (
        "http://localhost:11434/v1/",
        {"endpoint": "http://localhost:11434/v1", "provider": "endpoint"},
    ),
    "BATCHWRIGHT_ENDPOINT_KEY": ("sk-12345", {"endpoint_key": "sk-12345"}),
    "BATCHWRIGHT_PROVIDER": ("Embedded", {"provider": "embedded"}),
    "BATCHWRIGHT_MODEL": ("gpt-5-mini", {"model": "gpt-5-mini"}),
    "BATCHWRIGHT_MAX_JOB_USD": ("2.50", {"max_job_usd": Decimal("2.50")}),
    "BATCHWRIGHT_MAX_DAY_USD": ("1000", {"max_day_usd": Decimal(1000)}),
    "BATCHWRIGHT_ASK_ABOVE_USD": ("0", {"ask_above_usd": Decimal(0)}),
    "BATCHWRIGHT_PRICES": ("OpenAI", {"prices": "openai"}),
    "BATCHWRIGHT_ENQUEUED_TOKENS": ("15,000,000,000", {"enqueued_tokens": 15_000_000_000}),
    "BATCHWRIGHT_POLL_SECONDS": ("0.5", {"poll_seconds": 0.5}),
    "BATCHWRIGHT_CONCURRENCY": ("32", {"concurrency": 32}),
    "BATCHWRIGHT_LOCAL_MODEL": ("/models/m.gguf", {"local_model": Path("/models/m.gguf")}),
    "BATCHWRIGHT_DATA_DIR": ("/var/batchwright", {"data_dir": Path("/var/batchwright")}),
    "BATCHWRIGHT_CACHE_DIR": ("/cache", {"cache_dir": Path("/cache")}),
    "BATCHWRIGHT_HTTP_TOKEN": ("sixteen-letters-", {"http_token": "sixteen-letters-"}),
    "BATCHWRIGHT_HTTP_HOSTS": ("A.example, [::1]:80,b:8443", {"http_hosts": ("a.example", "[::1]:80", "b:8443")}),
    "BATCHWRIGHT_LOG_LEVEL": ("debug", {"log_level": "DEBUG"}),
}
"""For each variable: a value, and the fields that are not at their default then."""


@pytest.mark.parametrize("variable", [setting.name for setting in SETTINGS])
def test_each_documented_variable_sets_its_own_fields_and_no_others(variable: str) -> None:
    """The documentation is made from the same list, so every line of it must be true."""
    value, fields = EXAMPLES[variable]

    settings = Settings.from_env({variable: value})

    assert settings == Settings(**fields)


IN_WORDS = {"learned", "what is set", "16; 4 embedded"}
"""Defaults that are no values."""


@pytest.mark.parametrize(
    "setting",
    [s for s in SETTINGS if s.default and s.default not in IN_WORDS and not s.default.startswith("the ")],
    ids=lambda setting: setting.name,
)
def test_the_documented_default_is_what_holds_without_the_variable(setting: Setting) -> None:
    """Money is spent by it."""
    assert Settings.from_env({setting.name: setting.default}) == Settings()


def test_an_empty_environment_gives_the_defaults() -> None:
    """The server must start with nothing set at all."""
    assert Settings.from_env({}) == Settings()


def test_a_variable_that_is_empty_or_blank_counts_as_absent() -> None:
    """Clients write a setting that the user left out as an empty text."""
    blank = {setting.name: " " for setting in SETTINGS}

    assert Settings.from_env(blank) == Settings()


@pytest.mark.parametrize("left_out", ["${user_config.max_job_usd}", " ${user_config.endpoint} ", "undefined", "null"])
def test_what_a_host_writes_for_an_empty_field_counts_as_absent(left_out: str) -> None:
    """Hosts of bundles leave the placeholder as it is, or write their language's word for nothing."""
    assert Settings.from_env({setting.name: left_out for setting in SETTINGS}) == Settings()


@pytest.mark.parametrize("text", ["${workspaceFolder}", "${HOME}/data", "${input:key}", "${env:KEY}"])
@pytest.mark.parametrize("name", ["BATCHWRIGHT_WORKSPACE", "OPENAI_API_KEY"])
def test_a_placeholder_that_was_not_filled_in_is_refused(name: str, text: str) -> None:
    """Taken as it is, it would be a folder of that name, or a key that nobody gave."""
    with pytest.raises(InvalidInput, match=f"{name} holds a placeholder"):
        Settings.from_env({name: text})


def test_variables_of_other_programs_are_left_alone() -> None:
    """The environment is shared: of the SDK's variables, two are the program's business too."""
    environ = {"PATH": "/bin", "OPENAI_ORG_ID": "org-1", "batchwright_model": "m", "MY_BATCHWRIGHT_X": "1"}

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


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "BATCHWRIGHT_ENDPOINT_KEY"])
@pytest.mark.parametrize(
    "key",
    ["sk-hidden\npart", "sk-hidden part", "sk-hidden\tpart", "sk-hidden\0part", "sk-hidden\x7fpart", "sk-hiddené"],
)
def test_a_key_with_a_character_that_no_key_has_is_refused_without_showing_it(name: str, key: str) -> None:
    """Such a key breaks the header of every request; the error goes to a log."""
    with pytest.raises(InvalidInput, match=name) as caught:
        Settings.from_env({name: key})

    assert "hidden" not in str(caught.value)
    assert "part" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("token", ["fifteen-letters", "hidden secret of more", "hidden-secret-of-moré"])
def test_a_token_that_is_short_or_cannot_be_sent_is_refused_without_showing_it(token: str) -> None:
    """It is all that keeps others out."""
    with pytest.raises(InvalidInput, match="BATCHWRIGHT_HTTP_TOKEN") as caught:
        Settings.from_env({"BATCHWRIGHT_HTTP_TOKEN": token})

    assert token[:6] not in str(caught.value)


@pytest.mark.parametrize("host", ["https://a.example", "a.example/mcp", "*.example", "a b", "a:*", ".a", "user@a"])
def test_what_is_no_host_name_is_refused(host: str) -> None:
    """It would never be equal to what a client sends, and nobody would know why."""
    with pytest.raises(InvalidInput, match="which is not a host name"):
        Settings.from_env({"BATCHWRIGHT_HTTP_HOSTS": f"b.example,{host}"})


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "BATCHWRIGHT_ENDPOINT_KEY"])
def test_white_space_around_a_key_is_taken_off(name: str) -> None:
    """A key that was read from a file ends with a newline."""
    settings = Settings.from_env({name: " sk-1\r\n"})

    assert "sk-1" in {settings.openai_key, settings.endpoint_key}


def test_secrets_are_in_no_text_form_of_the_settings() -> None:
    """Settings are logged and end up in tracebacks."""
    names = [setting.name for setting in SETTINGS if setting.kind == "secret"]
    settings = Settings.from_env(dict.fromkeys(names, "sk-hidden-0123456789") | {"BATCHWRIGHT_MODEL": "m"})

    assert len(names) == 3
    assert "hidden" not in f"{settings!r} {settings}"


KEY = {"OPENAI_API_KEY": "sk-1"}
SERVER = {"BATCHWRIGHT_ENDPOINT": "http://localhost:11434/v1"}


@pytest.mark.parametrize(
    ("environ", "provider"),
    [
        ({}, "embedded"),
        (KEY, "openai"),
        (SERVER, "endpoint"),
        (KEY | SERVER, "endpoint"),
        ({"OPENAI_BASE_URL": "https://api.groq.com/openai/v1"}, "embedded"),
        (KEY | SERVER | {"BATCHWRIGHT_PROVIDER": "openai"}, "openai"),
        (KEY | SERVER | {"BATCHWRIGHT_PROVIDER": "endpoint"}, "endpoint"),
        (KEY | SERVER | {"BATCHWRIGHT_PROVIDER": "embedded"}, "embedded"),
        (KEY | {"BATCHWRIGHT_PROVIDER": " OPENAI "}, "openai"),
    ],
)
def test_who_runs_jobs_is_what_is_named_or_else_what_is_set(environ: dict[str, str], provider: str) -> None:
    """Whoever sets a server of his own up means it; and nothing is sent anywhere unless something is set."""
    assert Settings.from_env(environ).provider == provider


@pytest.mark.parametrize(("provider", "needed"), [("openai", "OPENAI_API_KEY"), ("endpoint", "BATCHWRIGHT_ENDPOINT")])
def test_a_provider_without_what_it_needs_is_refused(provider: str, needed: str) -> None:
    """Another one in its place would answer in its name."""
    others = {"openai": SERVER, "endpoint": KEY}[provider]

    with pytest.raises(InvalidInput, match=f"{provider}, which needs {needed}"):
        Settings.from_env(others | {"BATCHWRIGHT_PROVIDER": provider})


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("PROVIDER", "openai or endpoint or embedded"),
        ("PRICES", "openai or free"),
        ("LOG_LEVEL", "DEBUG or INFO or WARNING or ERROR"),
    ],
)
def test_a_word_never_heard_of_is_refused_and_the_known_ones_are_listed(name: str, listed: str) -> None:
    """A mistyped provider must not send the rows somewhere else, nor a mistyped level hide what is wrong."""
    with pytest.raises(InvalidInput, match=rf"BATCHWRIGHT_{name} is 'azure'\. Set {listed}"):
        Settings.from_env({f"BATCHWRIGHT_{name}": "azure"})


@pytest.mark.parametrize(
    ("environ", "charges"),
    [
        ({"OPENAI_API_KEY": "sk-12345"}, "batch"),
        ({"OPENAI_API_KEY": "sk-12345", "OPENAI_BASE_URL": "https://api.openai.com/v1/"}, "batch"),
        ({"OPENAI_API_KEY": "sk-12345", "OPENAI_BASE_URL": "https://api.groq.com/openai/v1"}, "unknown"),
        ({"OPENAI_API_KEY": "sk-12345", "OPENAI_BASE_URL": "https://api.openai.com.evil.example/v1"}, "unknown"),
        (
            {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "https://a.example/v1", "BATCHWRIGHT_PRICES": "openai"},
            "batch",
        ),
        (
            {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://batches:8000/v1", "BATCHWRIGHT_PRICES": "free"},
            "nothing",
        ),
        ({"BATCHWRIGHT_ENDPOINT": "https://api.openai.com/v1"}, "standard"),
        ({"BATCHWRIGHT_ENDPOINT": "http://localhost:4000/v1", "BATCHWRIGHT_PRICES": "openai"}, "standard"),
        ({"BATCHWRIGHT_ENDPOINT": "http://localhost:4000/v1"}, "unknown"),
        ({"BATCHWRIGHT_ENDPOINT": "http://gpu.internal/v1", "BATCHWRIGHT_PRICES": "free"}, "nothing"),
    ],
)
def test_prices_are_known_of_openai_and_where_the_operator_says_so(environ: dict[str, str], charges: str) -> None:
    """Elsewhere the cost of a job is not known, and must not seem to be."""
    assert Settings.from_env(environ).charges == charges


@pytest.mark.parametrize("host", ["api.openai.com", "eu.api.openai.com"])
@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "BATCHWRIGHT_ENDPOINT"])
def test_openai_is_never_free(name: str, host: str) -> None:
    """A setting that was meant for a server of one's own would lift every limit."""
    environ = {"OPENAI_API_KEY": "sk-12345", name: f"https://{host}/v1", "BATCHWRIGHT_PRICES": "free"}

    with pytest.raises(InvalidInput, match="is OpenAI, which is not"):
        Settings.from_env(environ)


@pytest.mark.parametrize("name", ["BATCHWRIGHT_MAX_JOB_USD", "BATCHWRIGHT_MAX_DAY_USD", "BATCHWRIGHT_ASK_ABOVE_USD"])
@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "-1", "-0.01", "inf", "-Infinity", "1e10", "1e999999", "ten", "$5", "2,50", "9" * 5000]
)
def test_a_limit_that_is_no_amount_is_refused(name: str, text: str) -> None:
    """A limit that compares with nothing would let everything through."""
    with pytest.raises(InvalidInput, match=f"{name} .*not an amount in US dollars"):
        Settings.from_env({name: text})


@pytest.mark.parametrize(
    ("name", "texts"), [("MAX_JOB_USD", ["0", "0.01", "1e9", "1_000"]), ("CONCURRENCY", ["1", "1024"])]
)
def test_a_number_may_be_either_end_of_its_range(name: str, texts: list[str]) -> None:
    """An amount of nothing means that jobs which cost something are never run."""
    for text in texts:
        settings = Settings.from_env({f"BATCHWRIGHT_{name}": text})

        assert getattr(settings, name.lower()) == Decimal(text)


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
@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "BATCHWRIGHT_ENDPOINT"])
def test_a_base_url_that_is_no_web_address_is_refused(name: str, url: str) -> None:
    """Better at the start, in a sentence, than at the first request of a job."""
    with pytest.raises(InvalidInput, match=f"{name} is not"):
        Settings.from_env({name: url})


@pytest.mark.parametrize(
    ("name", "key_name"),
    [("OPENAI_BASE_URL", "OPENAI_API_KEY"), ("BATCHWRIGHT_ENDPOINT", "BATCHWRIGHT_ENDPOINT_KEY")],
)
@pytest.mark.parametrize(
    "url",
    [
        "http://ann:sk-hidden-0123456789@host/v1",
        "http://:sk-hidden-0123456789@host",
        "http://sk-hidden-0123456789@host",
        "https://host/v1?key=sk-hidden-0123456789",
        "https://host/v1#sk-hidden-0123456789",
        "https://host/sk-hidden-0123456789/v1",
    ],
)
def test_a_base_url_that_carries_a_secret_is_refused_without_showing_it(name: str, key_name: str, url: str) -> None:
    """The address is shown to the user in every answer about a job."""
    with pytest.raises(InvalidInput, match=f"{name} holds more than an address. Put the key into {key_name}") as caught:
        Settings.from_env({name: url, key_name: "sk-hidden-0123456789"})

    assert "hidden" not in str(caught.value)


def test_a_key_that_is_no_secret_may_stand_in_the_address() -> None:
    """Local servers take any key, and people write the server's name."""
    environ = {"BATCHWRIGHT_ENDPOINT": "http://ollama:11434/v1", "BATCHWRIGHT_ENDPOINT_KEY": "ollama"}

    assert Settings.from_env(environ).endpoint == "http://ollama:11434/v1"


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "http://127.0.0.1:8000", "http://[::1]:8080/v1"])
def test_an_endpoint_that_is_a_web_address_is_kept_as_it_is(url: str) -> None:
    """Names, numbers, ports and IPv6 are all in use."""
    assert Settings.from_env({"BATCHWRIGHT_ENDPOINT": url}).endpoint == url


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("ENQUEUED_TOKENS", ["0", "-5", "1.5", "2e6", "many", "1" + "0" * 13, "٣"]),
        ("POLL_SECONDS", ["0", "0.01", "-1", "nan", "inf", "3601", "soon"]),
        ("CONCURRENCY", ["0", "1025", "-1", "2.5", "1e2", "many", "²", "9" * 5000]),
    ],
)
def test_a_number_out_of_its_range_is_refused(name: str, texts: list[str]) -> None:
    """A limit of nothing would hold up every job; no pause would flood the provider; too many connections fail."""
    for text in texts:
        with pytest.raises(InvalidInput, match=f"BATCHWRIGHT_{name} is .*, not a "):
            Settings.from_env({f"BATCHWRIGHT_{name}": text})


def test_folders_are_separated_as_the_system_separates_them_and_made_absolute() -> None:
    """On Windows a colon belongs to the drive; and jobs must not move when the working folder changes."""
    folders = os.pathsep.join(["data", "", "more"])
    settings = Settings.from_env({"BATCHWRIGHT_WORKSPACE": folders, "BATCHWRIGHT_DATA_DIR": "jobs"})

    assert settings.workspace == (Path("data").absolute(), Path("more").absolute())
    assert settings.data_dir == Path.cwd() / "jobs"


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
