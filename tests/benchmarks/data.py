"""The data that the benchmarks work on: made once, the same each time."""

import csv
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

ROWS = 50_000
MODEL = "gpt-5-mini"
CHAT = "/v1/chat/completions"
PROMPT = "Label this review: "
_WORDS = re.findall(
    r"\S+",
    "the product arrived late and support did not answer my question about the refund policy until Tuesday evening "
    "étage straße 東京 naïve over-the-air re-order #4521 was cancelled, they said; nevertheless I'd buy it again",
)
_WORDS_A_ROW = 560
_encode = msgspec.json.Encoder().encode


MILLION = 1_000_000
_WORDS_A_SHORT_ROW = 45
_CHARACTERS_A_ROW = 400
_WORDS_FOR_THEM = 100


def made(folder: Path) -> None:
    """Write what is missing: rows as CSV (180 MB) and Parquet, a batch file (190 MB), and results of every row.

    Beside these, a CSV of as many short rows, and one of twenty times as many (290 MB); and both again with rows of
    400 characters.
    """
    for rows in (ROWS, MILLION):
        _short_rows(folder / f"short-{rows}.csv", rows)
        write_rows(folder / f"characters-{rows}.csv", rows)
    if (folder / "results.jsonl").exists():
        return
    texts = random.Random(1)
    with (
        (folder / "rows.csv").open("w", encoding="utf-8", newline="") as rows,
        (folder / "batch.jsonl").open("wb") as batch,
        (folder / "results.jsonl.part").open("wb") as results,
    ):
        writer = csv.writer(rows)
        writer.writerow(["id", "text"])
        for number in range(1, ROWS + 1):
            text = " ".join(texts.choices(_WORDS, k=_WORDS_A_ROW))
            writer.writerow([number, text])
            batch.write(request_line(f"row-{number}", PROMPT + text))
            results.write(_result_line(f"row-{number}", " ".join(texts.choices(_WORDS, k=60))))
    _as_parquet(folder)
    (folder / "results.jsonl.part").rename(folder / "results.jsonl")


def _short_rows(path: Path, number: int) -> None:
    texts = random.Random(2)
    _write(path, (" ".join(texts.choices(_WORDS, k=_WORDS_A_SHORT_ROW)) for _ in range(number)))


def write_rows(path: Path, number: int) -> None:
    """Write so many rows of 400 characters, unless they are there."""
    texts = random.Random(3)
    _write(path, (" ".join(texts.choices(_WORDS, k=_WORDS_FOR_THEM))[:_CHARACTERS_A_ROW] for _ in range(number)))


def _write(path: Path, texts: Iterable[str]) -> None:
    if path.exists():
        return
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows(enumerate(texts))
    part.rename(path)


def texts_of(path: Path) -> Iterator[str]:
    """Give the texts of a CSV that was made here."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        yield from (text for _, text in rows)


def request_line(custom_id: str, text: str) -> bytes:
    """Give one line of a batch file."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_completion_tokens": 100}
    return _encode({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}) + b"\n"


def _result_line(custom_id: str, text: str) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, "refusal": None}}
    usage = {"prompt_tokens": 700, "completion_tokens": 80, "total_tokens": 780}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}
    response = {"status_code": 200, "request_id": "req_1", "body": body}
    return _encode({"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}) + b"\n"


def _as_parquet(folder: Path) -> None:
    import duckdb

    with duckdb.connect() as con:
        con.execute(
            f"COPY (SELECT * FROM read_csv('{folder}/rows.csv', header = true, all_varchar = true)) "
            f"TO '{folder}/rows.parquet' (FORMAT parquet)"
        )
