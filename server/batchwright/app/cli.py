"""The command line."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from batchwright import __version__
from batchwright.core.children import forget_relative_folders
from batchwright.core.errors import BatchwrightError, InvalidInput
from batchwright.core.settings import Settings
from batchwright.core.untrusted import visible

HOST = "127.0.0.1"
PORT = 8000
BEGIN = """\
where to begin:
  batchwright demo     run a real job, free and without a key
  batchwright connect  set up your assistant
  batchwright doctor   check your setup

Assistants start batchwright without a command, and talk to it over standard input and output.
"""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* name; without one, show help in a terminal, and serve anywhere else."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        # A terminal or a file may lack characters of a name: on Windows it may have those of one language only.
        reconfigure(errors="backslashreplace")
    parser = _parser()
    options = parser.parse_args(arguments)
    forget_relative_folders()
    try:
        if options.command is None and os.isatty(0):
            parser.print_help()
            return 0
        command: str = options.command or "serve"
        if command in WITHOUT_SETTINGS:
            return WITHOUT_SETTINGS[command](options)
        return COMMANDS[command](Settings.from_env(os.environ), options)
    except BatchwrightError as error:
        print(f"batchwright: {visible(str(error))}", file=sys.stderr)
        return 2


def _help(options: argparse.Namespace) -> int:
    from batchwright.app.help import run_help

    return run_help(options.topic)


def _doctor(_options: argparse.Namespace) -> int:
    from batchwright.app.doctor import run_doctor

    return run_doctor(os.environ)


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from batchwright.app.app import serve

    address = _address(options)
    if address:
        from batchwright.app.http_server import serve_http

        serve_http(settings, host=address[0], port=address[1])
    else:
        serve(settings)
    return 0


def _address(options: argparse.Namespace) -> tuple[str, int] | None:
    """Return the address of an HTTP server; None for one over standard input and output."""
    # Without a command, these options do not exist.
    host, port = getattr(options, "host", None), getattr(options, "port", None)
    if getattr(options, "http", False):
        return host or HOST, PORT if port is None else port
    if host or port is not None:
        raise InvalidInput("--host and --port need --http. Add it, or leave them out.")
    return None


def _demo(settings: Settings, options: argparse.Namespace) -> int:
    from batchwright.app.demo import run_demo

    return run_demo(settings, plain=options.plain)


def _connect(settings: Settings, options: argparse.Namespace) -> int:
    from batchwright.app.connect import run_connect, run_connect_over_http

    address = _address(options)
    if address:
        return run_connect_over_http(settings, options.assistant, host=address[0], port=address[1])
    return run_connect(settings, options.assistant)


def _costs(settings: Settings, options: argparse.Namespace) -> int:
    from batchwright.app.costs import run_costs

    return run_costs(settings, options)


def _dashboard(settings: Settings, options: argparse.Namespace) -> int:
    from batchwright.app.dashboard import run_dashboard

    return run_dashboard(settings, port=options.port, opens=options.open)


def _work(settings: Settings, options: argparse.Namespace) -> int:
    from batchwright.app.work import run_work

    return run_work(settings, stay=options.stay)


WITHOUT_SETTINGS: Mapping[str, Callable[[argparse.Namespace], int]] = {"doctor": _doctor, "help": _help}
"""Commands that explain wrong settings, and so must run with them."""
COMMANDS: Mapping[str, Callable[[Settings, argparse.Namespace], int]] = {
    "serve": _serve,
    "demo": _demo,
    "connect": _connect,
    "costs": _costs,
    "dashboard": _dashboard,
    "work": _work,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchwright",
        description="Bulk GPT jobs in conversation, as an MCP server.",
        epilog=BEGIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"batchwright {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, purpose: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")

    served = add("serve", "serve MCP over standard input and output, or over HTTP")
    _add_address(served, http="over streamable HTTP, at /mcp", host="where to listen", port="0 for any free port")
    demo = add("demo", "run a real job, and show what an assistant sends and sees")
    demo.add_argument("--plain", action="store_true", help="plain lines instead of an animated bar")
    work = add("work", "keep submitted jobs running without an assistant, until all have finished")
    work.add_argument("--stay", action="store_true", help="keep running, and pick up new jobs too")
    dashboard = add("dashboard", "show jobs in a browser, on this machine only")
    dashboard.add_argument("--open", action="store_true", help="open the browser as well")
    dashboard.add_argument("--port", type=int, default=0, metavar="N", help="default: any free port")
    _add_costs(add("costs", "compare what models cost"))
    connect = add("connect", "print setup instructions for your assistant")
    connect.add_argument("assistant", nargs="?", default="", help="its name, or part of it (default: all)")
    _add_address(connect, http="for a server that runs over HTTP", host="the server's name", port="the server's port")
    add("doctor", "check your setup")
    helped = add("help", "read a page of the guide")
    helped.add_argument("topic", nargs="?", default="index", metavar="TOPIC", help="default: list the topics")
    return parser


def _add_address(command: argparse.ArgumentParser, *, http: str, host: str, port: str) -> None:
    command.add_argument("--http", action="store_true", help=http)
    command.add_argument("--host", metavar="HOST", help=f"with --http: {host} (default: {HOST})")
    command.add_argument("--port", type=int, metavar="PORT", help=f"with --http: {port} (default: {PORT})")


def _add_costs(costs: argparse.ArgumentParser) -> None:
    costs.add_argument("--job", metavar="ID", help="compare for this job; without it, give the numbers below")
    costs.add_argument("--rows", type=_number, metavar="N", help="number of requests")
    costs.add_argument("--input-tokens", type=_number, metavar="N", help="input tokens of one request")
    costs.add_argument("--output-tokens", type=_number, metavar="N", help="output tokens of one request")
    costs.add_argument("--model", action="append", default=[], help="a model to compare; may be repeated")
    costs.add_argument("--png", type=Path, metavar="FILE", help="also save a chart as a new PNG file")


def _number(text: str) -> int:
    """Read a whole number as people write it: 50000, 50,000 or 50_000."""
    if not re.fullmatch(r"[0-9]{1,3}([,_][0-9]{3})+|[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number: write it like 50000 or 50,000")
    return int(re.sub(r"[,_]", "", text))
