"""Batches that the journal does not know: another program made them, or the journal was lost."""

import json
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

CHAT = "/v1/chat/completions"


async def made_elsewhere(client: AsyncOpenAI, rows: int = 3, endpoint: Any = CHAT, **metadata: str) -> str:
    """Make a batch as another program would, and give its id."""
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}], "prompt": "hi"}
    lines = [
        {"custom_id": f"x{number}", "method": "POST", "url": endpoint, "body": body | {"seed": number}}
        for number in range(rows)
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = await client.files.create(file=("theirs.jsonl", content), purpose="batch")
    batch = await client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata=metadata
    )
    return batch.id


def lose_the_journal(tmp_path: Path) -> None:
    """Delete the database; the jobs' folders stay."""
    for path in (tmp_path / "data").glob("journal.db*"):
        path.unlink()
