"""The embedding model as a child process: OpenAI's `POST /v1/embeddings` on loopback.

Knows BERT's WordPiece, ONNX Runtime and HTTP. Does not know where the model's files come from, nor what a job is.
The parent writes a line of settings to standard input, and reads a line with the address from standard output.
When standard input closes, the process ends. What users send is never logged.
"""

import hmac
import os
import re
import sys
import threading
import unicodedata
from base64 import b64encode
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import anyio.to_thread
import msgspec
import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]  # it ships no types
from aiohttp import web

MODEL_NAME = "all-MiniLM-L6-v2"
WIDTH = 384
MAX_TOKENS = 512
PAD = 0  # also the id of [PAD], which no text gives
MAX_TEXTS_IN_GROUP = 32
# Memory grows with texts times length squared: 32 texts of 512 tokens would take 4.5 GB, and be slower than one by one.
MAX_TOKENS_IN_GROUP = 1024
MAX_BODY_BYTES = 16 * 2**20
# The blocks that BERT calls Chinese: every character is a word.
IDEOGRAPH = re.compile(
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df"
    "\U0002a700-\U0002b81f\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f]"
)

ADVICE = (
    "`input` is a text or 1 to 2048 texts, none empty; token arrays are not accepted; `dimensions` is absent or 384."
)
Vectors = np.ndarray[Any, np.dtype[np.float32]]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Files = dict[Literal["model", "tokenizer"], str]
ort: Any = onnxruntime


class Settings(msgspec.Struct):
    """The parent's line; *slots* is how many requests compute at once."""

    api_key: str
    slots: Annotated[int, msgspec.Meta(ge=1)]
    files: Files


class EmbeddingRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request, as OpenAI names its fields."""

    model: str
    input: Text | Annotated[list[Text], msgspec.Meta(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Literal[384] = WIDTH
    user: str | None = None


class Normalizer(msgspec.Struct, tag="BertNormalizer"):
    """How a text is cleaned and cut into words."""

    clean_text: bool
    handle_chinese_chars: bool
    lowercase: bool
    strip_accents: bool | None = None

    def words(self, text: str) -> list[str]:
        """Cut *text* at spaces, and around every sign and ideograph."""
        if self.clean_text:
            text = "".join(c for c in text if is_written(c))
        if self.handle_chinese_chars:
            text = IDEOGRAPH.sub(r" \g<0> ", text)
        if self.lowercase if self.strip_accents is None else self.strip_accents:
            text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        if self.lowercase:
            # One by one: the whole text's lower() would write a sigma at the end of a word otherwise.
            text = "".join(map(str.lower, text))
        return "".join(f" {c} " if is_sign(c) else c for c in text).split()


def is_written(char: str) -> bool:
    """Whether *char* is neither a control, nor invisible, nor private, nor the sign for a lost character."""
    return char in "\t\n\r" or (char != "\ufffd" and unicodedata.category(char) not in {"Cc", "Cf", "Co"})


def is_sign(char: str) -> bool:
    """Whether *char* is Unicode's punctuation or any sign of ASCII."""
    return unicodedata.category(char).startswith("P") or ("!" <= char <= "~" and not char.isalnum())


class Vocabulary(msgspec.Struct, tag="WordPiece"):
    """The pieces of words that the model knows, and the number of each."""

    vocab: dict[str, int]
    unk_token: str
    continuing_subword_prefix: str
    max_input_chars_per_word: int

    def pieces(self, word: str) -> list[int]:
        """Take the longest known piece again and again; a word that does not come out even is unknown."""
        pieces: list[int] = []
        start = 0
        while start < len(word) <= self.max_input_chars_per_word:
            prefix = self.continuing_subword_prefix if start else ""
            end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in self.vocab), None)
            if end is None:
                break
            pieces.append(self.vocab[prefix + word[start:end]])
            start = end
        return pieces if start == len(word) else [self.vocab[self.unk_token]]


class Tokenizer(msgspec.Struct):
    """What a Hugging Face `tokenizer.json` of BERT says; names of special tokens in a text are ordinary text."""

    normalizer: Normalizer
    model: Vocabulary

    def tokens(self, text: str) -> list[int]:
        """Turn *text* into numbers of pieces, between the two special tokens."""
        pieces = [piece for word in self.normalizer.words(text) for piece in self.model.pieces(word)]
        return [self.model.vocab["[CLS]"], *pieces, self.model.vocab["[SEP]"]]


class Embedder:
    """The loaded model: requests to answers."""

    def __init__(self, files: Files) -> None:
        self._tokenizer = msgspec.json.decode(Path(files["tokenizer"]).read_bytes(), type=Tokenizer)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(files["model"], options, providers=["CPUExecutionProvider"])

    def answer(self, body: bytes) -> bytes:
        """Return the JSON that answers *body*, or raise what is wrong with it."""
        request = embedding_request(body)
        texts = [request.input] if isinstance(request.input, str) else request.input
        tokens = [self._tokenizer.tokens(text) for text in texts]
        refuse_too_long(tokens)
        rows = np.empty((len(tokens), WIDTH), dtype="<f4")
        for group in groups([len(ids) for ids in tokens]):
            rows[group] = self._vectors([tokens[index] for index in group])
        as_floats = request.encoding_format == "float"
        vectors = rows.tolist() if as_floats else [b64encode(row.data).decode() for row in rows]
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        usage = dict.fromkeys(("prompt_tokens", "total_tokens"), sum(map(len, tokens)))
        return msgspec.json.encode({"object": "list", "data": data, "model": MODEL_NAME, "usage": usage})

    def _vectors(self, tokens: Sequence[Sequence[int]]) -> Vectors:
        ids = np.array([*zip_longest(*tokens, fillvalue=PAD)], dtype=np.int64).T
        mask = (ids != PAD).astype(np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden: Vectors = self._session.run(["last_hidden_state"], inputs)[0]
        # The mean over the mask points where the sum does, and the length is made 1 anyway.
        sums: Vectors = (hidden * mask[:, :, np.newaxis].astype(np.float32)).sum(axis=1)
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)


def embedding_request(body: bytes) -> EmbeddingRequest:
    """Read *body*, or raise what is wrong with it."""
    try:
        return msgspec.json.decode(body, type=EmbeddingRequest)
    except ValueError as error:  # not UTF-8, not JSON, or not such a request
        field = re.search(r"(?:\$\.|field `)(\w+)", str(error))
        raise refuse(f"{error}. {ADVICE}", field[1] if field else None) from error


def refuse_too_long(tokens: Sequence[Sequence[int]]) -> None:
    """Raise for the first input that the model cannot read whole."""
    for index, count in enumerate(map(len, tokens)):
        if count > MAX_TOKENS:
            message = f"Input {index} has {count} tokens; this model reads at most {MAX_TOKENS}. Shorten or split it."
            raise refuse(message, "input", "context_length_exceeded")


def refuse(
    message: str, param: str | None = None, code: str | None = None, kind: type[web.HTTPError] = web.HTTPBadRequest
) -> web.HTTPError:
    """Make an error for aiohttp to answer with, in OpenAI's shape."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return kind(text=msgspec.json.encode({"error": error}).decode(), content_type="application/json")


def groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Put the indexes of *lengths* into groups to compute together, shortest first, so that little is padded."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if len(group) == MAX_TEXTS_IN_GROUP or (len(group) + 1) * lengths[index] > MAX_TOKENS_IN_GROUP:
            yield group
            group = []
        group.append(index)
    yield group


def app(settings: Settings, embedder: Embedder) -> web.Application:
    """Make the HTTP application."""
    slots = anyio.CapacityLimiter(settings.slots)

    async def embeddings(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {settings.api_key}".encode()):
            raise refuse("The API key is missing or wrong.", code="invalid_api_key", kind=web.HTTPUnauthorized)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise refuse(f"The body is larger than {MAX_BODY_BYTES} bytes. Send fewer texts at a time.") from error
        answer = await anyio.to_thread.run_sync(embedder.answer, body, limiter=slots)
        return web.Response(body=answer, content_type="application/json")

    made = web.Application(client_max_size=MAX_BODY_BYTES)
    made.router.add_post("/v1/embeddings", embeddings)
    return made


async def serve(settings: Settings) -> None:
    """Answer until the process ends; the address is written once it can be asked."""
    # A request whose client has gone is not begun any more.
    runner = web.AppRunner(app(settings, Embedder(settings.files)), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f'{{"url": "http://127.0.0.1:{runner.addresses[0][1]}/v1"}}\n')
    sys.stdout.flush()
    await anyio.sleep_forever()


def end_with_standard_input() -> NoReturn:
    """Wait until the parent closes standard input or dies, then end at once, even in the middle of native code."""
    for _ in sys.stdin.buffer:
        pass
    os._exit(0)


def main() -> None:
    """Run the child process."""
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    anyio.run(serve, settings)


if __name__ == "__main__":
    main()
