"""Jobs of five rows at the test provider, from their draft to the batch that is made of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batchwright.core.jsonl import decode_request, whole_lines
from tests.support.openai_server import Object, OpenAIServer
from tests.support.session import Session

ROWS = [{"n": number} for number in range(5)]
DRAFT: dict[str, Any] = {
    "rows": ROWS,
    "prompt": "Say {{n}}",
    "model": "gpt-5-mini",
    "parameters": {"max_completion_tokens": 100},
}
"""The arguments of `create_batch_file`."""


async def submitted(session: Session, max_cost_usd: float | None = None, **changes: Any) -> str:
    """Draft and submit a job, and return its id."""
    job_id = (await session.call("create_batch_file", **DRAFT | changes))["job_id"]
    most = {} if max_cost_usd is None else {"max_cost_usd": max_cost_usd}
    await session.call("submit_job", job_id=job_id, **most)
    return job_id


def write_batch_file(tmp_path: Path, bodies: Iterable[Object]) -> None:
    """Write a ready-made `batch.jsonl` for chat completions in the workspace, with the ids `row-0`, `row-1` and on."""
    line = {"method": "POST", "url": "/v1/chat/completions"}
    lines = [json.dumps({"custom_id": f"row-{number}", **line, "body": body}) for number, body in enumerate(bodies)]
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "work" / "batch.jsonl").write_text("\n".join(lines), encoding="utf-8")


def newest(server: OpenAIServer) -> str:
    """Return the id of the batch that was made last."""
    return list(server.batches)[-1]


def only_batch(server: OpenAIServer) -> str:
    """Return the id of the one batch."""
    (batch_id,) = server.batches
    return batch_id


def sent(server: OpenAIServer) -> list[Object]:
    """Return the bodies of the newest batch's requests."""
    file = server.files[server.batches[newest(server)]["input_file_id"]]
    return [dict(decode_request(line).body) for line in whole_lines([file.path.read_bytes()])]
