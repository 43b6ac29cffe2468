"""The operator's settings: the only reader of the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from batchwright.errors import InvalidInput

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable, as the documentation shows it."""

    name: str
    default: str
    meaning: str


SETTINGS = (
    Setting(
        "BATCHWRIGHT_WORKSPACE",
        "the folder it is started in",
        "Folders whose files may be read and written, separated like PATH. "
        "Started in the root, the home folder or a system folder, it uses `~/Batchwright`.",
    ),
    Setting(
        "BATCHWRIGHT_ENDPOINT",
        "",
        "Base URL of an OpenAI-compatible server that answers the requests, for example `http://localhost:11434/v1`. "
        "Without it, the embedded model answers.",
    ),
    Setting("BATCHWRIGHT_ENDPOINT_KEY", "", "API key for that server (secret)."),
    Setting("BATCHWRIGHT_MODEL", "", "Model used when a job names none; needed with an endpoint, unless jobs name it."),
    Setting("BATCHWRIGHT_CONCURRENCY", "16; 4 embedded", "Requests in flight at once."),
    Setting("BATCHWRIGHT_LOCAL_MODEL", "", "Path of a GGUF file to use as the embedded model instead of SmolLM2-135M."),
    Setting("BATCHWRIGHT_DATA_DIR", "the system's data folder", "Where the journal and the jobs' files are kept."),
    Setting("BATCHWRIGHT_CACHE_DIR", "the system's cache folder", "Where downloaded model weights are kept."),
    Setting("BATCHWRIGHT_LOG_LEVEL", "WARNING", "DEBUG, INFO, WARNING or ERROR; the log goes to standard error."),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, checked.

    Attributes:
        workspace: Folders as the operator named them; empty for the default.
        endpoint: Base URL without a trailing slash; None for the embedded model.
        data_dir, cache_dir: None for the system's own.
    """

    workspace: tuple[Path, ...] = ()
    endpoint: str | None = None
    endpoint_key: str | None = field(default=None, repr=False)
    model: str | None = None
    concurrency: int | None = None
    local_model: Path | None = None
    data_dir: Path | None = None
    cache_dir: Path | None = None
    log_level: LogLevel = "WARNING"

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, path_separator: str = ":") -> "Settings":
        """Read the settings from *environ*; an empty variable counts as absent.

        Raises:
            InvalidInput: A variable has an impossible value, or its name is unknown.
        """
        given = {name: value.strip() for name, value in environ.items() if name.startswith("BATCHWRIGHT_")}
        known = {setting.name for setting in SETTINGS}
        if unknown := sorted(name for name in given.keys() - known if not name.startswith("BATCHWRIGHT_TEST_")):
            raise InvalidInput(f"There is no setting {unknown[0]}. The settings are: {', '.join(sorted(known))}.")
        get = {name: given.get(name) or None for name in known}
        workspace = get["BATCHWRIGHT_WORKSPACE"] or ""
        return cls(
            workspace=tuple(
                path
                for folder in workspace.split(path_separator)
                if (path := _path("BATCHWRIGHT_WORKSPACE", folder.strip()))
            ),
            endpoint=_url(get["BATCHWRIGHT_ENDPOINT"]),
            endpoint_key=_key(get["BATCHWRIGHT_ENDPOINT_KEY"]),
            model=get["BATCHWRIGHT_MODEL"],
            concurrency=_concurrency(get["BATCHWRIGHT_CONCURRENCY"]),
            local_model=_path("BATCHWRIGHT_LOCAL_MODEL", get["BATCHWRIGHT_LOCAL_MODEL"]),
            data_dir=_path("BATCHWRIGHT_DATA_DIR", get["BATCHWRIGHT_DATA_DIR"]),
            cache_dir=_path("BATCHWRIGHT_CACHE_DIR", get["BATCHWRIGHT_CACHE_DIR"]),
            log_level=_log_level(get["BATCHWRIGHT_LOG_LEVEL"]),
        )

    def data_folder(self) -> Path:
        """Where the journal and the jobs live; not made yet."""
        if self.data_dir:
            return self.data_dir
        import platformdirs

        return platformdirs.user_data_path("batchwright", appauthor=False)

    def cache_folder(self) -> Path:
        """Where model weights live; not made yet."""
        if self.cache_dir:
            return self.cache_dir
        import platformdirs

        return platformdirs.user_cache_path("batchwright", appauthor=False)


def _path(name: str, text: str | None) -> Path | None:
    try:
        return Path(text).expanduser().absolute() if text else None
    except RuntimeError as error:
        raise InvalidInput(f"{name} names the home of a user who does not exist. Give the whole path.") from error


def _url(text: str | None) -> str | None:
    if text is None:
        return None
    wrong = "BATCHWRIGHT_ENDPOINT is not an http or https address. Write it like http://localhost:11434/v1."
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1) > 0
    except ValueError as error:
        raise InvalidInput(wrong) from error
    if not is_address or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidInput(wrong)
    if parts.username or parts.password or parts.query:
        raise InvalidInput("BATCHWRIGHT_ENDPOINT holds more than an address. Put a key into BATCHWRIGHT_ENDPOINT_KEY.")
    return text.rstrip("/")


def _key(text: str | None) -> str | None:
    if text is not None and not (text.isascii() and text.isprintable() and " " not in text):
        raise InvalidInput("BATCHWRIGHT_ENDPOINT_KEY holds a space or a character that no key has. Copy the key again.")
    return text


def _concurrency(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= 1024:
        raise InvalidInput(f"BATCHWRIGHT_CONCURRENCY is {text[:20]!r}, not a whole number from 1 to 1024. Set one.")
    return int(text)


def _log_level(text: str | None) -> LogLevel:
    level = (text or "WARNING").upper()
    if level not in get_args(LogLevel):
        raise InvalidInput(f"BATCHWRIGHT_LOG_LEVEL is {text!r}. Set one of {', '.join(get_args(LogLevel))}.")
    return cast("LogLevel", level)
