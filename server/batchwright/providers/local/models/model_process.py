"""A model server as a child process: started, configured over its pipes, and ended by closing them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from batchwright.core.children import Child
from batchwright.core.errors import ProviderUnreachable
from batchwright.providers.local.target import Upstream

START_SECONDS = 120
STOP_SECONDS = 5
_MAX_ANSWER_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class ModelProcess:
    """A running model server."""

    upstream: Upstream
    process: anyio.abc.Process

    @classmethod
    async def start(cls, module: str, *, slots: int, files: Mapping[str, Path], log: Path) -> "ModelProcess":
        """Start *module* and wait until it serves; its standard error goes to *log*.

        Raises:
            ProviderUnreachable: It exited, or did not serve in time.
        """
        key = secrets.token_urlsafe(24)
        with log.open("wb") as errors:
            process = await Child(("-m", module)).open(stderr=errors)
        config = {"api_key": key, "slots": slots, "files": {name: str(path) for name, path in files.items()}}
        try:
            with anyio.fail_after(START_SECONDS):
                line = await _ask(process, msgspec.json.encode(config) + b"\n")
            url = msgspec.json.decode(line, type=dict[str, str])["url"]
        except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.EndOfStream, TimeoutError) as error:
            await _end(process)
            raise ProviderUnreachable(
                f"The embedded model did not start: {_tail(log)} Check the model file, and `batchwright doctor`."
            ) from error
        except BaseException:
            with anyio.CancelScope(shield=True):
                await _end(process)
            raise
        return cls(Upstream(url, key), process)

    @property
    def is_alive(self) -> bool:
        """Whether it is still running."""
        return self.process.returncode is None

    async def stop(self) -> None:
        """Stop it, and wait until it has exited."""
        await _end(self.process)


async def _ask(process: anyio.abc.Process, question: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise ProviderUnreachable("The model's process has no pipes. Start the server again.")
    await process.stdin.send(question)
    return await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", _MAX_ANSWER_BYTES)


async def _end(process: anyio.abc.Process) -> None:
    if process.stdin:
        await process.stdin.aclose()
    with anyio.move_on_after(STOP_SECONDS):
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return (lines[-1] if lines else "it gave no reason")[:300].rstrip(".") + "."
