"""How services with OpenAI's Files and Batch API differ from OpenAI: as data, and in what they answer.

Sources are the services' own documentation. Knows the SDK's types, but neither the network nor errors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from batchwright.model import Json, Limits

if TYPE_CHECKING:
    from openai.types import Batch, BatchError, FileObject
    from openai.types.batch import Errors

_STATUSES = {"progress": "in_progress", "canceled": "cancelled"}
"""Other words for OpenAI's statuses: Novita's, and the one that Azure's guide waits for."""
UNKNOWN_TIME = 0
"""In the place of a time that is not given, or cannot be read: it must not end a search that goes back in time."""


@dataclass(frozen=True, slots=True)
class Service:
    """How one service differs from OpenAI; what it does not document is taken to be the same.

    Attributes:
        hosts: Its host names; with a leading dot, their end.
        completion_window: What its batches are given.
        endpoint_names: What a new batch has to name instead of the endpoint that its lines name.
        processes_files: Whether an uploaded file has to be processed before a batch may be made of it.
        limits: Of one batch.
    """

    hosts: tuple[str, ...]
    completion_window: str = "24h"
    endpoint_names: Mapping[str, str] = field(default_factory=dict[str, str])
    processes_files: bool = False
    limits: Limits = field(default_factory=Limits)


OPENAI = Service(("api.openai.com",))
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
    """Give what is known of the service at *base_url*; one that is not known is taken to be like OpenAI."""
    host = urlsplit(base_url).hostname or ""
    return next((service for service in SERVICES if any(_is_host(host, name) for name in service.hosts)), OPENAI)


def _is_host(host: str, name: str) -> bool:
    return host.endswith(name) if name.startswith(".") else host == name


def normal_batch(batch: "Batch", masked: Callable[[str], str]) -> "Batch":
    """Give a batch as OpenAI would show it, its errors' texts *masked*: a text is the service's own."""
    status = str(batch.status or "").lower()
    metadata: Json = batch.metadata
    changes: dict[str, Json] = {
        "status": _STATUSES.get(status, status),
        "errors": _errors(batch.errors, masked),
        "created_at": _unix_seconds(batch.created_at),
        "output_file_id": batch.output_file_id or None,
        "error_file_id": batch.error_file_id or None,
        "metadata": metadata if isinstance(metadata, dict) else None,
    }
    return batch.model_copy(update=changes)


def normal_file(file: "FileObject") -> "FileObject":
    """Give a file as OpenAI would show it; SiliconFlow puts an uploaded one into an envelope."""
    extra = file.model_extra or {}
    if not file.id and isinstance(inner := extra.get("data"), dict):
        file = type(file).construct(**cast("dict[str, Json]", inner))
        extra = file.model_extra or {}
    size = cast("Json", file.bytes)
    changes = {
        "bytes": size if isinstance(size, int) else 0,
        "filename": file.filename or "",
        "created_at": _unix_seconds(file.created_at or extra.get("createdAt")),
    }
    return file.model_copy(update=changes)


def next_cursor(extra: Mapping[str, Json] | None) -> str | None:
    """Give the mark of a list's next page, where the service pages as Groq does; None for those that page by `after`.

    *extra* are the fields of the page that OpenAI's does not have.
    """
    cursor = _fields((extra or {}).get("paging")).get("next_cursor")
    return cursor if isinstance(cursor, str) and cursor else None


def _errors(errors: Json, masked: Callable[[str], str]) -> "Errors | None":
    """Give a batch's errors, which may also be a text, an object, or a list of texts or of objects."""
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
        code=str(fields.get("code") or "unknown"),
        message=masked(str(message)) if message else None,
        line=line if isinstance(line, int) else None,
        param=str(param) if param else None,
    )


def _fields(value: Json) -> dict[str, Json]:
    """Give an object's fields, whether the SDK has read it as a type of its own or not; whatever else has none."""
    from openai import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump()
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _unix_seconds(time: Json) -> int:
    """Read a time: Unix seconds, also as a text, or ISO 8601."""
    try:
        return int(time)
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        read = datetime.fromisoformat(time)
    except (TypeError, ValueError):
        return UNKNOWN_TIME
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
