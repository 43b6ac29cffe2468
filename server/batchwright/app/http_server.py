"""`batchwright serve --http`: the MCP server over streamable HTTP, with the lines that connect a client."""

from batchwright.app.app import build_server, http_token, log_to_stderr
from batchwright.app.connect import connecting
from batchwright.core.settings import Settings
from batchwright.mcp_server import streamable_http


def serve_http(settings: Settings, *, host: str, port: int) -> None:
    """Serve MCP over streamable HTTP until the process is stopped.

    Raises:
        InvalidInput: The address is taken or open to anyone, or other users can read the token.
    """
    log_to_stderr(settings)
    taken = streamable_http.listening(host, port, has_token=settings.http_token is not None)
    own_port = taken.getsockname()[1]
    advice = f"`batchwright connect --http --port {own_port}`, run by the same user, shows how each assistant sends it."
    allowed = streamable_http.Access(
        streamable_http.hosts(taken, host, settings.http_hosts), http_token(settings), advice
    )
    streamable_http.run(
        build_server(settings), taken, allowed, log_level=settings.log_level, hint=connecting(settings, own_port)
    )
