"""How services with OpenAI's Files and Batch API differ from OpenAI: as data, and in their answers.

Sources are the services' documentation. Knows the SDK's types, but neither the network nor errors.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

from batchwright.core.model import OPENAI_HOST, Json, Limits

if TYPE_CHECKING:
    from openai import BaseModel
    from openai.types import Batch, BatchError, FileObject
    from openai.types.batch import Errors

Counted = TypeVar("Counted", bound="BaseModel")

_STATUSES = {"progress": "in_progress", "canceled": "cancelled"}
"""Other words for OpenAI's statuses: Novita's, and the one that Azure's guide waits for."""
MOST = 10**15
"""No batch has this many requests or tokens: a larger number is an error, and does not fit the journal."""
_MAX_WORD_CHARACTERS = 200
_END_OF_TIME = 253_402_300_800
"""The year 10000, which no date reaches."""
UNKNOWN_TIME = 0
"""Stands for a time that is missing or unreadable: it must not end a search that goes back in time."""
_WINDOW = re.compile(r"(\d{1,4})([mhd])(?:0m)?(?:0s)?")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Service:
    """How one service differs from OpenAI; anything it does not document is assumed to be the same.

    Attributes:
        hosts: Host names; one with a leading dot is a suffix.
        endpoint_names: What a new batch must name instead of the endpoint in its lines.
        processes_files: Whether an uploaded file must be processed before a batch may use it.
    """

    hosts: tuple[str, ...]
    completion_window: str = "24h"
    endpoint_names: Mapping[str, str] = field(default_factory=dict[str, str])
    processes_files: bool = False
    limits: Limits = field(default_factory=Limits)


OPENAI = Service((OPENAI_HOST,))
SERVICES = (
    OPENAI,
    # learn.microsoft.com/azure/foundry/openai/how-to/batch: lines name /v1/..., new batches /chat/completions, also
    # where the lines are for the Responses API. github.com/openai/openai-dotnet/issues/312: no batch of a pending file.
    Service(
        (".openai.azure.com", ".services.ai.azure.com"),
        endpoint_names=dict.fromkeys(("/v1/chat/completions", "/v1/responses"), "/chat/completions"),
        processes_files=True,
        limits=Limits(max_requests=100_000, max_inputs=100_000),
    ),
    # console.groq.com/docs/batch says 200 MB, the reference of Groq's own client 100 MB: the lower one fits both.
    Service(("api.groq.com",), limits=Limits(max_bytes=100_000_000)),
    # platform.kimi.ai/docs/api/batch-create
    Service(("api.moonshot.ai", "api.moonshot.cn"), limits=Limits(max_bytes=100_000_000)),
    # help.aliyun.com/zh/dashscope/developer-reference/openai-batch-interface
    Service(("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"), limits=Limits(max_bytes=100_000_000)),
    # docs.siliconflow.cn/cn/userguide/guides/batch
    Service(("api.siliconflow.cn", "api.siliconflow.com"), limits=Limits(max_requests=5_000)),
    # novita.ai/docs/api-reference/model-apis-llm-create-batch
    Service(("api.novita.ai",), completion_window="48h"),
    # docs.parasail.io/parasail-docs/batch/batch-file-format
    Service(("api.parasail.io",), limits=Limits(max_bytes=100_000_000)),
)


def service_of(base_url: str) -> Service:
    """Return what is known about the service at *base_url*; an unknown one is assumed to be like OpenAI."""
    host = urlsplit(base_url).hostname or ""

    def is_at(name: str) -> bool:
        return host.endswith(name) if name.startswith(".") else host == name

    return next((service for service in SERVICES if any(map(is_at, service.hosts))), OPENAI)


def at_standard_tier(body: Mapping[str, Json], endpoint: str) -> Mapping[str, Json]:
    """Return a body that is charged at the standard price, whatever tier the OpenAI project is set to."""
    if endpoint == "/v1/embeddings" or body.get("service_tier") not in (None, "auto"):
        return body
    return {**body, "service_tier": "default"}


def normal_batch(batch: "Batch", masked: Callable[[str], str]) -> "Batch":
    """Return a batch in OpenAI's form, with the service's own texts *masked*.

    The SDK accepts anything as a batch. A field of the wrong shape counts as absent; the others, above all the ids of
    the results, still count.
    """
    from openai.types.batch_request_counts import BatchRequestCounts
    from openai.types.batch_usage import BatchUsage

    status = _short(batch.status or "").lower()
    note: Json = (batch.model_extra or {}).get("note")
    changes: dict[str, Json] = {
        "status": _STATUSES.get(status, status),
        "errors": _errors(batch.errors, masked),
        "endpoint": _short(batch.endpoint) if batch.endpoint else batch.endpoint,
        "created_at": _unix_seconds(batch.created_at),
        "expires_at": _deadline(batch),
        "output_file_id": _id(batch.output_file_id),
        "error_file_id": _id(batch.error_file_id),
        "metadata": _metadata(batch.metadata),
        "request_counts": _counted(BatchRequestCounts, batch.request_counts, ("total", "completed", "failed")),
        "usage": _counted(BatchUsage, batch.usage, ("input_tokens", "output_tokens")),
        "note": masked(note) if isinstance(note, str) and note else None,
    }
    return batch.model_copy(update=changes)


def normal_file(file: "FileObject") -> "FileObject":
    """Return a file in OpenAI's form; SiliconFlow wraps an uploaded one in an envelope."""
    extra = file.model_extra or {}
    if not file.id and isinstance(inner := extra.get("data"), dict):
        file = type(file).construct(**cast("dict[str, Json]", inner))
        extra = file.model_extra or {}
    size = cast("Json", file.bytes)
    changes = {
        "bytes": size if isinstance(size, int) else 0,
        "filename": str(file.filename or ""),
        "created_at": _unix_seconds(file.created_at or extra.get("createdAt")),
    }
    return file.model_copy(update=changes)


def page_items(page: Mapping[str, Json]) -> list[object] | None:
    """Return the items of a page of a list; some services write null for none. None: it is not a page."""
    given = page.get("data")
    if "data" not in page or not isinstance(given, list | None):
        return None
    return cast("list[object]", given or [])


def next_cursor(page: Mapping[str, Json]) -> str | None:
    """Return the cursor of a list's next page, as Groq has it; None: the service pages by `after`."""
    cursor = _fields(page.get("paging")).get("next_cursor")
    return cursor if isinstance(cursor, str) and cursor else None


def _errors(errors: Json, masked: Callable[[str], str]) -> "Errors | None":
    """Return a batch's errors, which may also be a text, an object, or a list of texts or objects."""
    from openai.types.batch import Errors

    if not errors:
        return None
    found: Json = cast("Json", errors) if isinstance(errors, list) else getattr(errors, "data", None)
    items = cast("list[Json]", [errors] if found is None else found)
    return Errors(data=[_error(item, masked) for item in items], object="list")


def _error(item: Json, masked: Callable[[str], str]) -> "BatchError":
    from openai.types import BatchError

    fields = {"message": item} if isinstance(item, str) else _fields(item)
    message, line, param = fields.get("message"), fields.get("line"), fields.get("param")
    return BatchError(
        code=_short(fields.get("code") or "unknown"),
        message=masked(str(message)) if message else None,
        line=line if isinstance(line, int) else None,
        param=_short(param) if param else None,
    )


def _fields(value: Json) -> dict[str, Json]:
    """Return an object's fields, whether or not the SDK gave it a type; anything else has none."""
    from openai import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(warnings=False)  # which would show the values on standard error
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _id(value: Json) -> str | None:
    return _plain(value) if isinstance(value, str | int) and value else None


def _plain(value: Json) -> str:
    """Return a value as text without half characters, which cannot be written to a file."""
    return str(value).encode(errors="replace").decode()


def _short(value: Json) -> str:
    """Return a word of the API; its words are short."""
    return _plain(value)[:_MAX_WORD_CHARACTERS]


def _metadata(value: Json) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    return {name: str(text) for name, text in cast("dict[str, Json]", value).items() if text is not None}


def _counted(kind: type[Counted], value: Json, names: Sequence[str]) -> Counted | None:
    """Return a batch's request counts or tokens, as far as they can be read; None: not at all."""
    fields = _fields(value)
    read = {name: number for name in names if (number := _whole(fields.get(name))) is not None}
    return kind.construct(None, **read) if read else None


def _whole(value: Json) -> int | None:
    """Read a count, also one written as text or as 2.0."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):  # a text, or a number without end
        return None
    return number if 0 <= number <= MOST else None


def _deadline(batch: "Batch") -> int | None:
    """Return when a batch must finish: its own deadline, or the end of its window; None: neither can be read."""
    if told := _unix_seconds(batch.expires_at):
        return told
    created, window = _unix_seconds(batch.created_at), _WINDOW.fullmatch(str(batch.completion_window))
    return created + int(window[1]) * _SECONDS[window[2]] if created and window else None


def _unix_seconds(time: Json) -> int:
    """Read a time: Unix seconds, also as text, or ISO 8601."""
    try:
        return seconds if 0 <= (seconds := int(time)) < _END_OF_TIME else UNKNOWN_TIME
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        read = datetime.fromisoformat(time)
    except (TypeError, ValueError):
        return UNKNOWN_TIME
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
