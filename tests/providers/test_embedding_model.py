"""The embedding model's child process, over real HTTP: what it answers, what it refuses, and when it ends."""

import base64
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from batchwright.providers.local.models.weights import MINILM, MINILM_TOKENIZER, fetch

pytest.importorskip("onnxruntime", reason="needs the extra `embeddings`")

FILES = {"model": MINILM, "tokenizer": MINILM_TOKENIZER}
API_KEY = "loopback-key"
WAIT_SECONDS = 60
HOW = "`input` is a text or 1 to 2048 texts, none empty"
"""What follows the decoder's own words."""


@dataclass(frozen=True)
class Child:
    """The running process and its address."""

    process: subprocess.Popen[bytes]
    url: str

    def post(self, body: object, *, key: str = API_KEY) -> tuple[int, Any]:
        """Send *body* as JSON, or as it is if it is bytes; gives the status and the decoded answer."""
        address = urlsplit(self.url)
        connection = HTTPConnection(address.netloc, timeout=WAIT_SECONDS)
        try:
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request("POST", f"{address.path}/embeddings", sent, {"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def embed(self, *texts: str) -> list[list[float]]:
        """Send *texts* as one request; gives their vectors in order."""
        status, answer = self.post({"model": "any", "input": texts})
        assert status == 200, answer
        assert [item["index"] for item in answer["data"]] == list(range(len(texts)))
        return [item["embedding"] for item in answer["data"]]


@pytest.fixture(scope="module")
def embedding_files(model_cache: Path) -> dict[str, str]:
    """Fetch the model and its vocabulary as the server does."""
    folder = model_cache / "models"

    async def fetch_all() -> dict[str, str]:
        found = {name: await fetch(weights, folder, lambda _done, _all: None) for name, weights in FILES.items()}
        return {name: str(path) for name, path in found.items()}

    return anyio.run(fetch_all)


def started(files: dict[str, str]) -> Child:
    """Start the process, and wait for the line with its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batchwright.providers.local.models.embedding_model"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"api_key": API_KEY, "slots": 2, "files": files}).encode() + b"\n")
    process.stdin.flush()
    too_late = Timer(WAIT_SECONDS, process.kill)
    too_late.start()
    try:
        line = process.stdout.readline()
    finally:
        too_late.cancel()
    if not line:
        pytest.fail(f"The process ended before it was ready: {process.communicate()[1].decode()}")
    return Child(process, json.loads(line)["url"])


def ended(child: Child) -> tuple[int, bytes, bytes]:
    """Close standard input; gives the exit code and what else was written to standard output and standard error."""
    try:
        output, errors = child.process.communicate(timeout=WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        child.process.kill()
        raise
    return child.process.returncode, output, errors


@pytest.fixture(scope="module")
def child(embedding_files: dict[str, str]) -> Iterator[Child]:
    """One process for the tests that only ask."""
    child = started(embedding_files)
    yield child
    ended(child)


def cosine(left: list[float], right: list[float]) -> float:
    """How alike two vectors of length one are."""
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_a_cat_is_nearer_to_a_kitten_than_to_a_stock_exchange(child: Child) -> None:
    """The vectors mean something: a wrong tokenizer or wrong pooling would level these."""
    cat, kitten, exchange = child.embed("cat", "kitten", "stock exchange")

    assert cosine(cat, kitten) > 0.5
    assert cosine(cat, exchange) < 0.3


def test_a_vector_has_384_numbers_and_length_one(child: Child) -> None:
    """Clients take the dot product for the cosine, as with OpenAI's vectors."""
    (vector,) = child.embed("The parcel came two days late.")

    assert len(vector) == 384
    assert cosine(vector, vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_texts_in_one_request_get_the_vectors_that_each_gets_alone(child: Child) -> None:
    """Grouping sorts and pads: it must neither mix up rows nor let the padding be read."""
    texts = [f"{word} {'is on its way ' * (n % 7)}today" for n, word in enumerate(["parcel", "letter", "lorry"] * 15)]

    together = child.embed(*texts)

    for text, vector in zip(texts, together, strict=True):
        assert vector == pytest.approx(child.embed(text)[0], abs=1e-5)


def test_accents_and_capitals_do_not_matter(child: Child) -> None:
    """The vocabulary has neither; a text that is not normalised would be pieces that mean nothing."""
    plain, written = child.embed("a cafe in zurich", "A Café in Zürich")

    assert plain == pytest.approx(written, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Stra\u00dfe \u00c4pfel", 7),
        ("\u4ef7\u683c\u592a\u9ad8\u4e86", 7),
        ("\U0001f600 fine", 4),
        ("[MASK] [SEP]", 8),
        ("a" * 100, 52),
        ("a" * 101, 3),
        ("   ", 2),
    ],
    ids=["umlauts", "ideographs", "emoji", "names of special tokens", "a long word", "a longer one", "blank"],
)
def test_any_text_is_cut_into_the_pieces_that_the_model_learned(child: Child, text: str, tokens: int) -> None:
    """As Hugging Face's tokenizer cuts them; a special token in a text would be read as an instruction."""
    status, answer = child.post({"model": "any", "input": text})

    assert (status, answer["usage"]["total_tokens"]) == (200, tokens)


def test_base64_holds_the_same_numbers_as_float(child: Child) -> None:
    """OpenAI's client asks for base64 unless told otherwise, and reads little-endian float32."""
    body = {"model": "any", "input": "cat"}

    status, answer = child.post({**body, "encoding_format": "base64"})

    assert status == 200
    packed = base64.b64decode(answer["data"][0]["embedding"])
    assert list(struct.unpack("<384f", packed)) == pytest.approx(child.embed("cat")[0], abs=1e-6)


def test_the_answer_is_openais_list_with_the_tokens_that_were_read(child: Child) -> None:
    """Cost reports add up `usage`; the two tokens around each text are read like the others."""
    status, answer = child.post({"model": "text-embedding-3-small", "input": ["cat", "kitten"], "dimensions": 384})

    assert status == 200
    assert [item.pop("embedding") != [] for item in answer["data"]] == [True, True]
    assert answer == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0}, {"object": "embedding", "index": 1}],
        "model": "all-MiniLM-L6-v2",
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    }


def test_without_the_key_nothing_is_answered(child: Child) -> None:
    """Any page in the user's browser can reach a port on loopback."""
    status, answer = child.post({"model": "any", "input": "cat"}, key="wrong")

    assert status == 401
    assert answer["error"] == {
        "message": "The API key is missing or wrong.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"model": "m", "input": ""}, "input", HOW),
        ({"model": "m", "input": []}, "input", HOW),
        ({"model": "m", "input": ["cat", ""]}, "input", HOW),
        ({"model": "m", "input": ["cat"] * 2049}, "input", HOW),
        ({"model": "m", "input": [101, 102]}, "input", "token arrays are not accepted"),
        ({"model": "m", "input": [[101, 102]]}, "input", "token arrays are not accepted"),
        ({"model": "m"}, "input", HOW),
        ({"input": "cat"}, "model", HOW),
        ({"model": "m", "input": "cat", "dimensions": 256}, "dimensions", HOW),
        ({"model": "m", "input": "cat", "encoding_format": "int8"}, "encoding_format", HOW),
        ({"model": "m", "input": "cat", "instructions": "purr"}, "instructions", HOW),
        (b'{"model": "m", "input": "c', None, HOW),
        (b'{"model": "m", "input": "\xff"}', None, HOW),
        (b" " * (16 * 2**20 + 1), None, "larger than 16777216 bytes"),
    ],
    ids=lambda value: None if isinstance(value, (dict, bytes)) else str(value),
)
def test_a_request_that_cannot_be_answered_says_what_is_wrong(
    child: Child, body: object, param: str | None, words: str
) -> None:
    """Nothing is ignored or guessed: the row fails with a reason that its owner can act on."""
    status, answer = child.post(body)

    assert (status, answer["error"]["type"], answer["error"]["param"]) == (400, "invalid_request_error", param)
    assert words in answer["error"]["message"]


def test_the_longest_text_that_fits_is_read_whole(child: Child) -> None:
    """The limit counts the two tokens around the text, and its last place can be used."""
    status, answer = child.post({"model": "any", "input": "cat " * 510})

    assert (status, answer["usage"]["total_tokens"]) == (200, 512)


def test_a_text_beyond_the_limit_is_refused_and_not_cut(child: Child) -> None:
    """A vector of half a text would look like an answer."""
    status, answer = child.post({"model": "any", "input": ["cat", "cat " * 511]})

    assert status == 400
    assert answer["error"] == {
        "message": "Input 1 has 513 tokens; this model reads at most 512. Shorten or split it.",
        "type": "invalid_request_error",
        "param": "input",
        "code": "context_length_exceeded",
    }


@pytest.mark.slow
def test_the_process_ends_silently_when_standard_input_closes(embedding_files: dict[str, str]) -> None:
    """However the parent dies, nothing stays behind; and no user's text is ever written anywhere."""
    child = started(embedding_files)
    child.embed("a secret")

    assert ended(child) == (0, b"", b"")
