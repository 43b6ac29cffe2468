"""The operator's settings: the only reader of the environment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from batchwright.core.errors import InvalidInput, InvalidSetting
from batchwright.core.model import OPENAI_HOST, Charges, SpendingLimits
from batchwright.core.untrusted import model_name

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
ProviderKind = Literal["openai", "endpoint", "embedded"]
Prices = Literal["openai", "free"]
SettingKind = Literal["text", "secret", "folder", "file", "number"]

OPENAI_URL = f"https://{OPENAI_HOST}/v1"
MIN_SECRET_CHARACTERS = 16

_HOST = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_KEY_NAMES = {"OPENAI_BASE_URL": "OPENAI_API_KEY", "BATCHWRIGHT_ENDPOINT": "BATCHWRIGHT_ENDPOINT_KEY"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable, as the documentation shows it.

    Attributes:
        kind: How a program that asks for it shows it; a secret is hidden there.
        choices: The values that it may have; empty: any.
    """

    name: str
    default: str
    meaning: str
    kind: SettingKind = "text"
    choices: tuple[str, ...] = ()


SETTINGS = (
    Setting(
        "BATCHWRIGHT_WORKSPACE",
        "the folder it is started in",
        "Folders whose files may be read and written, separated like PATH. "
        "Started in the root, the home folder or a system folder, it uses `~/Batchwright`.",
        kind="folder",
    ),
    Setting("OPENAI_API_KEY", "", "API key of OpenAI, or of the service at `OPENAI_BASE_URL` (secret).", kind="secret"),
    Setting(
        "OPENAI_BASE_URL",
        OPENAI_URL,
        "Base URL of a service with OpenAI's Files and Batch API, for example "
        "`https://NAME.openai.azure.com/openai/v1/`.",
    ),
    Setting(
        "BATCHWRIGHT_ENDPOINT",
        "",
        "Base URL of an OpenAI-compatible server that answers single requests, for example "
        "`http://localhost:11434/v1`.",
    ),
    Setting("BATCHWRIGHT_ENDPOINT_KEY", "", "API key for that server (secret).", kind="secret"),
    Setting(
        "BATCHWRIGHT_PROVIDER",
        "what is set",
        "openai, endpoint or embedded: who runs jobs. By default the endpoint if it is set, else OpenAI if its key is, "
        "else the embedded model.",
        choices=get_args(ProviderKind),
    ),
    Setting("BATCHWRIGHT_MODEL", "", "Model used when a job names none; at OpenAI or an endpoint, jobs name it else."),
    Setting(
        "BATCHWRIGHT_MAX_JOB_USD",
        "25",
        "The most that one job may cost, whatever the assistant asks for.",
        kind="number",
    ),
    Setting("BATCHWRIGHT_MAX_DAY_USD", "100", "The most that all jobs may cost within 24 hours.", kind="number"),
    Setting(
        "BATCHWRIGHT_ASK_ABOVE_USD",
        "1",
        "Above this cost the user is asked; where the assistant's program cannot, a maximum has to be named.",
        kind="number",
    ),
    Setting(
        "BATCHWRIGHT_PRICES",
        "",
        "openai: the server that is set takes OpenAI's prices, as a gateway does. free: it takes nothing. Otherwise "
        "its prices are unknown, unless it is OpenAI, or Ollama, llama-server, LM Studio or vLLM on this machine.",
        choices=get_args(Prices),
    ),
    Setting(
        "BATCHWRIGHT_ENQUEUED_TOKENS",
        "learned",
        "Input tokens of one model that may be enqueued at OpenAI at a time, if you know your limit.",
        kind="number",
    ),
    Setting("BATCHWRIGHT_POLL_SECONDS", "30", "How often running jobs are polled in the background.", kind="number"),
    Setting("BATCHWRIGHT_CONCURRENCY", "16; 4 embedded", "Requests in flight at once.", kind="number"),
    Setting(
        "BATCHWRIGHT_LOCAL_MODEL",
        "",
        "Path of a GGUF file to use as the embedded model instead of SmolLM2-135M.",
        kind="file",
    ),
    Setting(
        "BATCHWRIGHT_DATA_DIR",
        "the system's data folder",
        "Where the journal and the jobs' files are kept.",
        kind="folder",
    ),
    Setting(
        "BATCHWRIGHT_CACHE_DIR", "the system's cache folder", "Where downloaded model weights are kept.", kind="folder"
    ),
    Setting(
        "BATCHWRIGHT_HTTP_TOKEN",
        "",
        "What clients of `batchwright serve --http` send as bearer token: at least 16 characters (secret). "
        "By default one is made and kept in the data folder; where other machines reach the server, set your own.",
        kind="secret",
    ),
    Setting(
        "BATCHWRIGHT_HTTP_HOSTS",
        "",
        "Host names by which clients call that server, separated by commas, for example `batches.example.com`; "
        "it always answers to `localhost` and to its own address.",
    ),
    Setting(
        "BATCHWRIGHT_LOG_LEVEL",
        "WARNING",
        "DEBUG, INFO, WARNING or ERROR; the log goes to standard error.",
        choices=get_args(LogLevel),
    ),
)

_KNOWN = frozenset(setting.name for setting in SETTINGS)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, checked.

    Attributes:
        workspace: Folders as the operator named them; empty for the default.
        provider: Who runs jobs.
        openai_url, endpoint: Base URLs without a trailing slash.
        prices: What the server that is set takes, as the operator says; None: nobody says it.
        enqueued_tokens: None: learned from the provider's refusals.
        data_dir, cache_dir: None for the system's own.
        http_token: None: one that is made at the first start, for clients on this machine alone.
        http_hosts: Host names, some with a port, beside those that the server knows itself.
    """

    workspace: tuple[Path, ...] = ()
    provider: ProviderKind = "embedded"
    openai_key: str | None = field(default=None, repr=False)
    openai_url: str = OPENAI_URL
    prices: Prices | None = None
    endpoint: str | None = None
    endpoint_key: str | None = field(default=None, repr=False)
    model: str | None = None
    spending: SpendingLimits = field(default_factory=SpendingLimits)
    enqueued_tokens: int | None = None
    poll_seconds: float = 30.0
    concurrency: int | None = None
    local_model: Path | None = None
    data_dir: Path | None = None
    cache_dir: Path | None = None
    http_token: str | None = field(default=None, repr=False)
    http_hosts: tuple[str, ...] = ()
    log_level: LogLevel = "WARNING"

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, path_separator: str = ":") -> "Settings":
        """Read the settings from *environ*; a variable that is empty, or that a host had nothing for, counts as absent.

        Raises:
            InvalidInput: A variable has an impossible value, or its name is unknown.
        """
        given = {
            name: _filled(name, value)
            for name, value in environ.items()
            if name.startswith(("BATCHWRIGHT_", "OPENAI_"))
        }
        ours = {name for name in given if name.startswith("BATCHWRIGHT_") and not name.startswith("BATCHWRIGHT_TEST_")}
        if unknown := sorted(ours - _KNOWN):
            raise InvalidSetting(unknown[0], f"is not a setting. The settings are: {', '.join(sorted(_KNOWN))}.")
        get = {name: given.get(name) or None for name in _KNOWN}
        openai_url = _url("OPENAI_BASE_URL", get) or OPENAI_URL
        workspace = get["BATCHWRIGHT_WORKSPACE"] or ""
        settings = cls(
            workspace=tuple(
                path
                for folder in workspace.split(path_separator)
                if (path := _path("BATCHWRIGHT_WORKSPACE", folder.strip()))
            ),
            provider=_provider(get),
            openai_key=_key("OPENAI_API_KEY", get["OPENAI_API_KEY"]),
            openai_url=openai_url,
            prices=cast("Prices | None", _one_of("BATCHWRIGHT_PRICES", get["BATCHWRIGHT_PRICES"], get_args(Prices))),
            endpoint=_url("BATCHWRIGHT_ENDPOINT", get),
            endpoint_key=_key("BATCHWRIGHT_ENDPOINT_KEY", get["BATCHWRIGHT_ENDPOINT_KEY"]),
            model=_model("BATCHWRIGHT_MODEL", get["BATCHWRIGHT_MODEL"]),
            spending=SpendingLimits(
                job_usd=_usd("BATCHWRIGHT_MAX_JOB_USD", get["BATCHWRIGHT_MAX_JOB_USD"], "25"),
                day_usd=_usd("BATCHWRIGHT_MAX_DAY_USD", get["BATCHWRIGHT_MAX_DAY_USD"], "100"),
                ask_above_usd=_usd("BATCHWRIGHT_ASK_ABOVE_USD", get["BATCHWRIGHT_ASK_ABOVE_USD"], "1"),
            ),
            enqueued_tokens=_whole("BATCHWRIGHT_ENQUEUED_TOKENS", get["BATCHWRIGHT_ENQUEUED_TOKENS"], 10**12),
            poll_seconds=_seconds("BATCHWRIGHT_POLL_SECONDS", get["BATCHWRIGHT_POLL_SECONDS"], 30.0),
            concurrency=_whole("BATCHWRIGHT_CONCURRENCY", get["BATCHWRIGHT_CONCURRENCY"], 1024),
            local_model=_path("BATCHWRIGHT_LOCAL_MODEL", get["BATCHWRIGHT_LOCAL_MODEL"]),
            data_dir=_path("BATCHWRIGHT_DATA_DIR", get["BATCHWRIGHT_DATA_DIR"]),
            cache_dir=_path("BATCHWRIGHT_CACHE_DIR", get["BATCHWRIGHT_CACHE_DIR"]),
            http_token=(token := get["BATCHWRIGHT_HTTP_TOKEN"]) and token_of("BATCHWRIGHT_HTTP_TOKEN", token),
            http_hosts=_hosts("BATCHWRIGHT_HTTP_HOSTS", get["BATCHWRIGHT_HTTP_HOSTS"]),
            log_level=_log_level(get["BATCHWRIGHT_LOG_LEVEL"]),
        )
        if settings.prices == "free" and _is_openai(settings.url):
            raise InvalidSetting(
                "BATCHWRIGHT_PRICES", f"is free, and {settings.url} is OpenAI, which is not. Leave it out."
            )
        return settings

    @property
    def url(self) -> str:
        """The base URL of the server that runs jobs; empty: they run in this process."""
        return {"openai": self.openai_url, "endpoint": self.endpoint or "", "embedded": ""}[self.provider]

    @property
    def charges(self) -> Charges:
        """What the server that runs jobs takes, as far as it can be known without asking it."""
        if self.prices == "free":
            return "nothing"
        is_openai = self.prices == "openai" or urlsplit(self.url).hostname == OPENAI_HOST
        return ("batch" if self.provider == "openai" else "standard") if is_openai else "unknown"

    def data_folder(self) -> Path:
        """Where the journal and the jobs live; not made yet."""
        if self.data_dir:
            return self.data_dir
        import platformdirs

        return platformdirs.user_data_path("batchwright", appauthor=False).absolute()

    def cache_folder(self) -> Path:
        """Where model weights live; not made yet."""
        if self.cache_dir:
            return self.cache_dir
        import platformdirs

        return platformdirs.user_cache_path("batchwright", appauthor=False).absolute()


def _filled(name: str, value: str) -> str:
    """Give a value without what a host writes for a field that its user left empty."""
    text = value.strip()
    if re.fullmatch(r"\$\{user_config\.[^{}]*\}|undefined|null", text):
        return ""
    if name in _KNOWN and re.search(r"\$\{\w[\w.:/-]*\}", text):
        raise InvalidSetting(
            name,
            "holds a placeholder, which the program that started this one did not fill in. "
            "Write the value in its place.",
        )
    return text


def _path(name: str, text: str | None) -> Path | None:
    try:
        return Path(text).expanduser().absolute() if text else None
    except RuntimeError as error:
        raise InvalidSetting(name, "names the home of a user who does not exist. Give the whole path.") from error


def _is_openai(url: str) -> bool:
    return f".{urlsplit(url).hostname}".endswith(f".{OPENAI_HOST}")


def _url(name: str, get: Mapping[str, str | None]) -> str | None:
    if (text := get[name]) is None:
        return None
    wrong = "is not an http or https address. Write it like http://localhost:11434/v1."
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1) > 0
    except ValueError as error:
        raise InvalidSetting(name, wrong) from error
    if not is_address or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidSetting(name, wrong)
    # The address is shown in answers and logs.
    key_name = _KEY_NAMES[name]
    key = get[key_name] or ""
    # A short key is often no secret, but the name of the server.
    holds_key = len(key) >= MIN_SECRET_CHARACTERS and key in text
    if "@" in parts.netloc or parts.query or parts.fragment or holds_key:
        raise InvalidSetting(name, f"holds more than an address. Put the key into {key_name}.")
    return text.rstrip("/")


def _model(name: str, text: str | None) -> str | None:
    try:
        return model_name(text) if text else None
    except InvalidInput as error:
        raise InvalidSetting(name, f"cannot be used: {error}") from error


def _key(name: str, text: str | None) -> str | None:
    if text is not None and not (text.isascii() and text.isprintable() and " " not in text):
        raise InvalidSetting(name, "holds a space or a character that no key has. Copy the key again.")
    return text


def token_of(name: str, text: str) -> str:
    """Return a bearer token as it stands in *name*, a setting or a file.

    Raises:
        InvalidInput: It is too short, or no header can hold it.
    """
    if len(text) < MIN_SECRET_CHARACTERS:
        raise InvalidSetting(name, f"has fewer than {MIN_SECRET_CHARACTERS} characters. Make a longer secret of it.")
    _key(name, text)
    return text


def _hosts(name: str, text: str | None) -> tuple[str, ...]:
    hosts = tuple(host for part in (text or "").split(",") if (host := part.strip().lower()))
    if wrong := [host for host in hosts if not _HOST.fullmatch(host)]:
        raise InvalidSetting(
            name, f"holds {wrong[0][:80]!r}, which is no host name. Write it like batches.example.com."
        )
    return hosts


def _provider(get: Mapping[str, str | None]) -> ProviderKind:
    needed = {"openai": "OPENAI_API_KEY", "endpoint": "BATCHWRIGHT_ENDPOINT"}
    wanted = _one_of("BATCHWRIGHT_PROVIDER", get["BATCHWRIGHT_PROVIDER"], get_args(ProviderKind))
    if wanted is not None:
        if wanted in needed and not get[needed[wanted]]:
            raise InvalidSetting("BATCHWRIGHT_PROVIDER", f"is {wanted}, which needs {needed[wanted]}. Set it too.")
        return cast("ProviderKind", wanted)
    if get["BATCHWRIGHT_ENDPOINT"]:
        return "endpoint"
    return "openai" if get["OPENAI_API_KEY"] else "embedded"


def _one_of(name: str, text: str | None, values: Sequence[str]) -> str | None:
    if text is not None and text.lower() not in values:
        raise InvalidSetting(name, f"is {text[:40]!r}. Set {' or '.join(values)}, or leave it out.")
    return text.lower() if text else None


def _usd(name: str, text: str | None, default: str) -> Decimal:
    wrong = f"is {(text or '')[:20]!r}, not an amount in US dollars. Write it like 2.50."
    try:
        amount = Decimal(text or default)
    except InvalidOperation as error:
        raise InvalidSetting(name, wrong) from error
    if not amount.is_finite() or not 0 <= amount <= 10**9:
        raise InvalidSetting(name, wrong)
    return amount


def _whole(name: str, text: str | None, most: int) -> int | None:
    if text is None:
        return None
    digits = text.replace(",", "").replace("_", "")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 13 or not 1 <= int(digits) <= most:
        raise InvalidSetting(name, f"is {text[:20]!r}, not a whole number from 1 to {most}. Set one.")
    return int(digits)


def _seconds(name: str, text: str | None, default: float) -> float:
    wrong = f"is {(text or '')[:20]!r}, not a number of seconds from 0.1 to 3600. Set one."
    try:
        seconds = float(text or default)
    except ValueError as error:
        raise InvalidSetting(name, wrong) from error
    if not 0.1 <= seconds <= 3600:
        raise InvalidSetting(name, wrong)
    return seconds


def _log_level(text: str | None) -> LogLevel:
    level = (text or "WARNING").upper()
    if level not in get_args(LogLevel):
        raise InvalidSetting("BATCHWRIGHT_LOG_LEVEL", f"is {text!r}. Set one of {', '.join(get_args(LogLevel))}.")
    return cast("LogLevel", level)
