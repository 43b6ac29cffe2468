"""The entry point. It imports nothing slow before it can answer Ctrl+C."""

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command that *arguments* name, by default the process's own, and return its exit status."""
    try:
        from batchwright.app.cli import run

        return run(arguments)
    except KeyboardInterrupt:
        print("batchwright: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
