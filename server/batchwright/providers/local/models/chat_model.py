"""A child process that serves a chat model on loopback, with llama.cpp's own server. Knows nothing of batches.

Reads one JSON line {"api_key", "slots", "files": {"model"}} from standard input, answers with one line {"url"}, and
exits when its standard input closes: it never outlives the server that started it, however that one dies.
"""

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportAttributeAccessIssue=false
# pyright: reportMissingTypeStubs=false, reportMissingImports=false
# xllamacpp is an optional extension module without type stubs.
import json
import os
import sys

CONTEXT_TOKENS_PER_SLOT = 4_096


def main() -> None:
    """Serve until standard input closes."""
    config = json.loads(sys.stdin.buffer.readline())  # UTF-8, whatever the system's own encoding is
    # llama.cpp's threads spin while they wait; on a busy machine that makes two of them six times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["files"]["model"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["api_key"]]
    params.n_parallel = config["slots"]
    params.n_ctx = CONTEXT_TOKENS_PER_SLOT * config["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0  # Its default grows to 8 GiB.
    params.warmup = False
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    sys.stdout.write(json.dumps({"url": f"{server.listening_address}/v1"}) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    # The native threads would keep an ordinary exit waiting.
    os._exit(0)


if __name__ == "__main__":
    main()
