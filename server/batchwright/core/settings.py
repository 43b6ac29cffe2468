"""The operator's settings, each defined once: the only reader of the environment.

A field of `Settings` is a setting with its default, its reader, its meaning and, if the value does not show it, its
default in words. All documentation of settings is generated from these.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

from batchwright.core import setting_values as reading
from batchwright.core.errors import InvalidSetting
from batchwright.core.model import OPENAI_HOST, Charges, SpendingLimits

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
ProviderKind = Literal["openai", "endpoint", "embedded"]
Prices = Literal["openai", "free"]

OPENAI_URL = f"https://{OPENAI_HOST}/v1"

_LIMITS = SpendingLimits()
_OPENAI_NAMES = {"openai_key": "OPENAI_API_KEY", "openai_url": "OPENAI_BASE_URL"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable, as the documentation shows it."""

    name: str
    default: str
    meaning: str
    kind: reading.SettingKind
    choices: tuple[str, ...]
    read: Callable[[str, str], Any]


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """Every setting, checked; None or empty if it is not set."""

    workspace: Annotated[
        tuple[Path, ...],
        reading.FOLDERS,
        "Folders whose files may be read and written, separated like PATH. "
        "Started in the root, the home folder or a system folder, it uses `~/Batchwright`.",
        "the folder it is started in",
    ] = ()
    openai_key: Annotated[
        str | None, reading.KEY, "API key of OpenAI, or of the service at `OPENAI_BASE_URL` (secret)."
    ] = None
    openai_url: Annotated[
        str,
        reading.URL,
        "Base URL of a service with OpenAI's Files and Batch API, for example "
        "`https://NAME.openai.azure.com/openai/v1/`.",
    ] = OPENAI_URL
    endpoint: Annotated[
        str | None,
        reading.URL,
        "Base URL of an OpenAI-compatible server that answers single requests, for example "
        "`http://localhost:11434/v1`.",
    ] = None
    endpoint_key: Annotated[str | None, reading.KEY, "API key for that server (secret)."] = None
    provider: Annotated[
        ProviderKind,
        reading.one_of(ProviderKind),
        "openai, endpoint or embedded: who runs jobs. By default the endpoint if it is set, otherwise OpenAI if its "
        "key is, otherwise the embedded model.",
        "what is set",
    ] = "embedded"
    model: Annotated[
        str | None, reading.MODEL, "Default model. Without it, each job at OpenAI or an endpoint must name one."
    ] = None
    max_job_usd: Annotated[Decimal, reading.USD, "The most that one job may cost, whatever the assistant asks for."] = (
        _LIMITS.job_usd
    )
    max_day_usd: Annotated[Decimal, reading.USD, "The most that all jobs may cost within 24 hours."] = _LIMITS.day_usd
    ask_above_usd: Annotated[
        Decimal,
        reading.USD,
        "Above this cost the user is asked; if the assistant's program cannot ask, a maximum has to be named.",
    ] = _LIMITS.ask_above_usd
    prices: Annotated[
        Prices | None,
        reading.one_of(Prices),
        "openai: the server that is set takes OpenAI's prices, as a gateway does. free: it takes nothing. Otherwise "
        "its prices are unknown, unless it is OpenAI, or Ollama, llama-server, LM Studio or vLLM on this machine.",
    ] = None
    enqueued_tokens: Annotated[
        int | None,
        reading.TOKENS,
        "Input tokens of one model that may be enqueued at OpenAI at a time, if you know your limit.",
        "learned",
    ] = None
    poll_seconds: Annotated[float, reading.SECONDS, "How often running jobs are polled in the background."] = 30.0
    concurrency: Annotated[int | None, reading.CONNECTIONS, "Requests in flight at once.", "16; 4 embedded"] = None
    local_model: Annotated[
        Path | None, reading.FILE, "Path of a GGUF file to use as the embedded model instead of SmolLM2-135M."
    ] = None
    data_dir: Annotated[
        Path | None, reading.FOLDER, "Where the journal and the jobs' files are kept.", "the system's data folder"
    ] = None
    cache_dir: Annotated[
        Path | None, reading.FOLDER, "Where downloaded model weights are kept.", "the system's cache folder"
    ] = None
    http_token: Annotated[
        str | None,
        reading.TOKEN,
        "What clients of `batchwright serve --http` send as bearer token: at least 16 characters (secret). "
        "By default one is made and kept in the data folder; where other machines reach the server, set your own.",
    ] = None
    http_hosts: Annotated[
        tuple[str, ...],
        reading.HOSTS,
        "Host names by which clients call that server, separated by commas, for example `batches.example.com`; "
        "it always answers to `localhost` and to its own address.",
    ] = ()
    log_level: Annotated[
        LogLevel, reading.one_of(LogLevel), "DEBUG, INFO, WARNING or ERROR; the log goes to standard error."
    ] = "WARNING"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from *environ*; a variable that is empty, or a placeholder for nothing, counts as absent.

        Raises:
            InvalidInput: A variable has an impossible value, or its name is unknown.
        """
        given = _given(environ)
        values: dict[str, Any] = {
            name: setting.read(setting.name, text)
            for name, setting in BY_FIELD.items()
            if (text := given.get(setting.name))
        }
        by_default = "endpoint" if "endpoint" in values else "openai" if "openai_key" in values else "embedded"
        values.setdefault("provider", by_default)
        settings = cls(**values)
        settings._refuse_contradictions()
        return settings

    def __repr__(self) -> str:
        """Show everything except secrets."""
        shown = (f"{name}={getattr(self, name)!r}" for name, setting in BY_FIELD.items() if setting.kind != "secret")
        return f"Settings({', '.join(shown)})"

    def _refuse_contradictions(self) -> None:
        """Refuse settings that contradict each other; first keys in addresses, which later errors would show."""
        addresses = {"OPENAI_BASE_URL": (self.openai_url, self.openai_key)}
        addresses["BATCHWRIGHT_ENDPOINT"] = (self.endpoint or "", self.endpoint_key)
        for name, (url, key) in addresses.items():
            # A short key is often not a secret, but the name of the server.
            if key and len(key) >= reading.MIN_SECRET_CHARACTERS and key.rstrip("/") in url:
                raise reading.secret_in_address(name)
        needed = {"openai": ("OPENAI_API_KEY", self.openai_key), "endpoint": ("BATCHWRIGHT_ENDPOINT", self.endpoint)}
        variable, value = needed.get(self.provider, ("", "nothing"))
        if not value:
            raise InvalidSetting("BATCHWRIGHT_PROVIDER", f"is {self.provider}, which needs {variable}. Set it too.")
        if self.prices == "free" and f".{urlsplit(self.url).hostname}".endswith(f".{OPENAI_HOST}"):
            raise InvalidSetting(
                "BATCHWRIGHT_PRICES", f"is free, and {self.url} is OpenAI, which is not. Leave it out."
            )

    @property
    def spending(self) -> SpendingLimits:
        """What jobs may cost."""
        return SpendingLimits(self.max_job_usd, self.max_day_usd, self.ask_above_usd)

    @property
    def url(self) -> str:
        """The base URL of the server that runs jobs, without a trailing slash; empty: they run in this process."""
        return {"openai": self.openai_url, "endpoint": self.endpoint or "", "embedded": ""}[self.provider]

    @property
    def charges(self) -> Charges:
        """What the server that runs jobs charges, as far as it is known without asking it."""
        if self.prices == "free":
            return "nothing"
        is_openai = self.prices == "openai" or urlsplit(self.url).hostname == OPENAI_HOST
        return ("batch" if self.provider == "openai" else "standard") if is_openai else "unknown"

    def data_folder(self) -> Path:
        """Return the folder of the journal and the jobs, which may not exist yet."""
        return self.data_dir or _platform_folder("user_data_path")

    def cache_folder(self) -> Path:
        """Return the folder of model weights, which may not exist yet."""
        return self.cache_dir or _platform_folder("user_cache_path")


def _platform_folder(kind: Literal["user_data_path", "user_cache_path"]) -> Path:
    import platformdirs

    return getattr(platformdirs, kind)("batchwright", appauthor=False).absolute()


def _rows() -> dict[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    rows: dict[str, Setting] = {}
    for each in fields(Settings):
        reader, meaning, *in_words = hints[each.name].__metadata__
        value = f"{each.default:g}" if isinstance(each.default, float) else str(each.default or "")
        name = _OPENAI_NAMES.get(each.name, f"BATCHWRIGHT_{each.name.upper()}")
        rows[each.name] = Setting(name, "".join(in_words) or value, meaning, reader.kind, reader.choices, reader.read)
    return rows


BY_FIELD: Mapping[str, Setting] = _rows()
"""The settings by their fields."""
SETTINGS = tuple(BY_FIELD.values())


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """Return our variables, without what a host writes for a field that its user left empty."""
    known = {setting.name for setting in SETTINGS}
    ours = {name for name in environ if name.startswith("BATCHWRIGHT_")}
    if unknown := sorted(name for name in ours - known if not name.startswith("BATCHWRIGHT_TEST_")):
        raise InvalidSetting(unknown[0], f"is not a setting. The settings are: {', '.join(sorted(known))}.")
    return {name: _without_placeholder(name, environ[name]) for name in known & environ.keys()}


def _without_placeholder(name: str, value: str) -> str:
    text = value.strip()
    if re.fullmatch(r"\$\{user_config\.[^{}]*\}|undefined|null", text):
        return ""
    if re.search(r"\$\{\w[\w.:/-]*\}", text):
        raise InvalidSetting(
            name,
            "holds a placeholder, which the program that started this one did not fill in. "
            "Write the value in its place.",
        )
    return text
