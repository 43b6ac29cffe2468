"""`batchwright costs`, as a user runs it."""

import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import anyio.to_thread
import matplotlib.image
import pytest

from batchwright.__main__ import main
from tests.support.session import environment, in_memory
from tests.support.systems import needs_terminals
from tests.support.terminal import in_terminal

TOKENS = ["--rows", "50000", "--input-tokens", "2048", "--output-tokens", "158"]
MODELS = [
    argument for name in ("gpt-3.5-turbo-0125", "gpt-4-turbo", "gpt-4", "gpt-5-mini") for argument in ("--model", name)
]
WITHOUT_MATPLOTLIB = (
    "import sys; sys.modules['matplotlib'] = None; from batchwright.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


@dataclass(frozen=True)
class Done:
    """What a command returned and wrote."""

    returncode: int
    stdout: str
    stderr: str


def costs(tmp_path: Path, *arguments: str, encoding: str = "utf-8", **more: str) -> Done:
    """Run the command in this process, with an output of some encoding."""
    output, errors = (TextIOWrapper(BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(output), redirect_stderr(errors):
        for name, value in {**environment(tmp_path), **more}.items():
            patched.setenv(name, value)
        code = main(["costs", *arguments])
    return Done(code, *(written.buffer.getvalue().decode() for written in (output, errors)))


def costs_without_matplotlib(tmp_path: Path, *arguments: str) -> Done:
    """Run the command in a process of its own, which cannot import matplotlib."""
    command = [sys.executable, "-c", WITHOUT_MATPLOTLIB, "costs", *arguments]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", **environment(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=120, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def test_each_model_has_a_line_for_each_price_with_bars_in_proportion(tmp_path: Path) -> None:
    """Whoever reads the guide can check the program against it, and half the price is half the bar."""
    done = costs(tmp_path, *TOKENS, *MODELS, COLUMNS="120")
    lines = re.findall(
        r"^(gpt-\S+) +standard +(\$\S+) +(━*)╸? *\n +batch +(\$\S+) +(\d+%) +(━*)╸? *$", done.stdout, re.MULTILINE
    )
    bars = [(len(line[2]), len(line[5])) for line in lines]

    assert (done.returncode, done.stderr) == (0, "")
    assert [(line[0], line[1], line[3], line[4]) for line in lines] == [
        ("gpt-5-mini", "$41.40", "$20.70", "50%"),
        ("gpt-3.5-turbo-0125", "$63.05", "$31.53", "50%"),
        ("gpt-4-turbo", "$1,261.00", "$630.50", "50%"),
        ("gpt-4", "$3,546.00", "$1,773.00", "50%"),
    ]
    assert bars[3][0] > 40
    assert all(batch == standard // 2 for standard, batch in bars)
    assert bars[2][0] == int(bars[3][0] * 1261 / 3546)
    assert "\x1b" not in done.stdout
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_the_table_is_as_wide_as_the_terminal(tmp_path: Path, columns: int) -> None:
    """A line that is broken is no bar."""
    done = costs(
        tmp_path, *TOKENS, "--model", "ft:gpt-4o-mini-2024-07-18:organisation::x", *MODELS, COLUMNS=str(columns)
    )
    drawn = [line for line in done.stdout.splitlines() if "$" in line]

    assert done.returncode == 0
    assert {len(line) for line in drawn} == {columns}
    assert "\nft:" in done.stdout


def test_what_cannot_show_blocks_gets_plain_characters(tmp_path: Path) -> None:
    """Terminals of old, and pipes with an old encoding."""
    models = ["--model", "o1-mini", "--model", "gpt-5-mini", "--model", "müll"]
    done = costs(tmp_path, *TOKENS, *models, encoding="ascii")

    assert done.returncode == 0
    assert re.search(r"^gpt-5-mini +standard +\$41\.40 +-+ *\n +batch +\$20\.70 +50% +-+ *$", done.stdout, re.MULTILINE)
    assert re.search(r"^o1-mini +standard +\$\S+ +-+ *\n +batch +unknown *$", done.stdout, re.MULTILINE)
    assert "No batch price is known: o1-mini." in done.stdout
    assert "No known price (unknown, not free): m?ll." in done.stdout


@needs_terminals
@pytest.mark.parametrize("no_colour", [False, True])
def test_colour_is_only_for_a_terminal(tmp_path: Path, no_colour: bool) -> None:  # noqa: FBT001
    """And not where the user has said that they want none."""
    env = environment(tmp_path) | ({"NO_COLOR": "1"} if no_colour else {})
    with in_terminal("costs", *TOKENS, "--model", "gpt-5-mini", env=env) as terminal:
        terminal.read_to_end()

    assert terminal.process.returncode == 0
    assert "$20.70" in terminal.text
    assert ("\x1b[38;5;" in terminal.raw) is not no_colour


def test_numbers_are_taken_as_people_write_them(tmp_path: Path) -> None:
    """A comma that is copied from a report is no mistake; one in another place is."""
    done = costs(tmp_path, "--rows", "50,000", "--input-tokens", "2_048", "--model", "gpt-5-mini")
    with in_terminal("costs", "--rows", "5,0", "--input-tokens", "1", env=environment(tmp_path)) as terminal:
        refused = terminal.read_to_end()

    assert done.stdout.startswith("50,000 requests of 2,048 input tokens each.\n")
    assert terminal.process.returncode == 2
    assert "'5,0' is not a whole number: write it like 50000 or 50,000" in refused


@pytest.mark.slow
def test_the_chart_is_saved_once(tmp_path: Path) -> None:
    """A second run must not replace what is there."""
    done = costs(tmp_path, *TOKENS, *MODELS, "--png", str(tmp_path / "guide.png"))
    again = costs(tmp_path, *TOKENS, "--png", str(tmp_path / "guide.png"))
    other = costs(tmp_path, *TOKENS, "--png", str(tmp_path / "guide.pdf"))

    assert (done.returncode, done.stderr) == (0, "")
    assert f"Saved the chart as {tmp_path / 'guide.png'}." in done.stdout
    assert matplotlib.image.imread(tmp_path / "guide.png").shape[:2] == (502, 1080)
    assert (again.returncode, again.stdout) == (2, "")
    assert "guide.png': that exists already. Choose another name." in again.stderr
    assert "does not end in .png" in other.stderr


@pytest.mark.slow
def test_a_chart_that_cannot_be_written_costs_only_the_chart(tmp_path: Path) -> None:
    """The table was asked for too, and a fault of the disk is a sentence."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = costs(tmp_path, *TOKENS, "--png", str(tmp_path / "file" / "guide.png"))

    assert done.returncode == 2
    assert "gpt-6-luna" in done.stdout
    assert "Choose another" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_matplotlib_all_but_the_image_comes(tmp_path: Path) -> None:
    """Bars in a terminal need nothing more installed."""
    plain = costs(tmp_path, *TOKENS)
    image = costs_without_matplotlib(tmp_path, *TOKENS, "--png", str(tmp_path / "guide.png"))

    assert (plain.returncode, plain.stderr) == (0, "")
    assert image.stdout == plain.stdout
    assert image.returncode == 2
    assert "pip install 'batchwright[charts]'" in image.stderr
    assert not (tmp_path / "guide.png").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Give --job, or --rows and --input-tokens."),
        (["--rows", "5"], "Give --job, or --rows and --input-tokens."),
        (["--rows", "0", "--input-tokens", "5"], "rows is 0."),
        (["--job", "job_none"], "There is no job 'job_none'."),
    ],
)
def test_what_is_missing_is_told_in_a_sentence(tmp_path: Path, arguments: list[str], told: str) -> None:
    """No traceback, and a code that a script can see."""
    done = costs(tmp_path, *arguments)

    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_unpriced_models_are_named_and_none_is_free(tmp_path: Path) -> None:
    """Where nothing is known there is no table, and the code says so."""
    done = costs(tmp_path, *TOKENS, "--model", "llama3.2")
    hidden = costs(tmp_path, *TOKENS, "--model", "llama3.2\x1b[31m")

    assert done.returncode == 1
    assert "No known price (unknown, not free): llama3.2." in done.stdout
    assert "$0" not in done.stdout
    assert hidden.returncode == 2
    assert "'llama3.2' is not the name of a model" in hidden.stderr
    assert "\x1b" not in hidden.stdout + hidden.stderr


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_job_is_compared_with_the_servers_jobs(tmp_path: Path) -> None:
    """The terminal sees what the assistant made."""
    settings = {"endpoint": "http://127.0.0.1:9/v1"}
    async with in_memory(environment(tmp_path, **settings)) as session:
        draft = await session.call("create_batch_file", rows=[{"t": "a"}], prompt="{{t}}", model="m")
    more = {"BATCHWRIGHT_ENDPOINT": settings["endpoint"]}
    done = await anyio.to_thread.run_sync(lambda: costs(tmp_path, "--job", draft["job_id"], **more))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"1 request of {draft['job_id']}, on average ")
    assert "gpt-6-luna" in done.stdout
