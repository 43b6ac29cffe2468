"""What a user names as a source: a file, several files, or a query over files. Finds files; reads none."""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from batchwright.core.errors import InvalidInput, NotFound
from batchwright.core.model import SourceKind
from batchwright.tables.connection import MEMORY, MemoryBounds
from batchwright.tables.process import MAX_PROCESS_BYTES
from batchwright.tables.sql_names import table_names

if TYPE_CHECKING:
    from batchwright.core.workspace import Workspace

FileKind = Literal["csv", "json", "jsonl", "parquet", "excel"]

_OPTIONS = ("delimiter", "encoding", "header", "quote", "escape", "file_column")

_KINDS: Mapping[str, FileKind] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"), "excel"),
    ".json": "json",
    ".parquet": "parquet",
}
_GZIPPED: frozenset[FileKind] = frozenset({"csv", "json", "jsonl"})
_IS_SQL = re.compile(
    r"(\s|\(|--[^\n]*\n|/\*.*?\*/)*(select|with|from|copy|attach|detach|pragma|install|load|set|create|drop|export|import|"
    r"explain|describe|summarize|show|call|values|pivot|unpivot|table|insert|update|delete|alter|vacuum|use)\b(?!\.)",
    re.IGNORECASE | re.DOTALL,
)
_SHEET = re.compile(r"(?P<book>.+\.(xls[xmb]?|ods))#(?P<sheet>.+)", re.IGNORECASE | re.DOTALL)
_PATTERN = re.compile(r"[*?\[]")
_ENCODINGS = re.compile(
    r"utf-(8|16)(-sig|-le|-be)?|ascii|iso8859-\d+|cp(125\d|437|85\d|866|874|932|936|949|950)|latin-?1|koi8-[ru]|"
    r"mac-roman|shift_jis|euc_(jp|kr)|gb(2312|k|18030)|big5"
)


@dataclass(frozen=True, slots=True)
class ReadingBounds:
    """The most that reading a source may take."""

    files: int = 1_000
    inflated_bytes: int = 1024**3
    """That a small gzip file may unpack to."""
    text_bytes: int = 50 * 1024**3
    """Of all texts of a Parquet file, which may hold one text for all rows."""
    sheet_cells: int = 20_000_000
    """Of the rectangle around a sheet's cells, which is held in memory."""
    process_bytes: int = MAX_PROCESS_BYTES
    query_seconds: float = 120.0
    memory: MemoryBounds = MEMORY


BOUNDS = ReadingBounds()


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read files; None leaves it to be detected.

    Attributes:
        delimiter: Of CSV; None: the one that the header has most of.
        encoding: The codec of a text file; None: UTF-8, or what the file shows.
        has_header: Whether the first line of CSV names the columns; None: judged by the lines below it.
        quote: Around texts in CSV; empty: none; None: what the first line shows.
        escape: Before a quote inside such a text; None: the quote itself.
        file_column: A column to add, with the name of each row's file.
    """

    delimiter: str | None = None
    encoding: str | None = None
    has_header: bool | None = None
    quote: str | None = None
    escape: str | None = None
    file_column: str | None = None


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of rows.

    Attributes:
        name: The user's name for it.
        sheet: Of an Excel file; None: the first.
        workspace: Where the user's file is copied from before it is read; None: the file is the program's own.
    """

    path: Path
    name: str
    kind: FileKind
    is_gzipped: bool = False
    sheet: str | None = None
    reading: Reading = Reading()
    workspace: "Workspace | None" = None
    bounds: ReadingBounds = BOUNDS


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from.

    Attributes:
        name: A short one for the user.
        tables: Files with the same columns, by their name in the query; without a query there is one entry.
        query: SQL over the tables.
    """

    name: str
    kind: SourceKind
    tables: Mapping[str, Sequence[DataFile]]
    query: str | None = None
    bounds: ReadingBounds = BOUNDS

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files, each once."""
        return tuple(dict.fromkeys(file.path for files in self.tables.values() for file in files))


def reading(options: Mapping[str, object]) -> Reading:
    """Check and return the options for reading files; each may be absent.

    Raises:
        InvalidInput: An option is unknown, or its value cannot be used.
    """
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        known = f"{', '.join(_OPTIONS[:-1])} and {_OPTIONS[-1]}"
        raise InvalidInput(f"There is no reading option {unknown[0]!r}. The options are {known}.")
    encoding, header, column = options.get("encoding"), options.get("header"), options.get("file_column")
    delimiter = _character(options, "delimiter", but='"', like='";" or "\\t"')
    if not isinstance(header, bool | None):
        raise InvalidInput("header is neither true nor false. Say whether the first line names the columns.")
    if column is not None and not (isinstance(column, str) and column.strip()):
        raise InvalidInput('file_column is not a name. Name the column for the files, like "file".')
    quote = "" if options.get("quote") == "" else _character(options, "quote", but=delimiter or "", like='"\'"')
    escape = _character(options, "escape", but=delimiter or "", like='"\\\\"')
    return Reading(delimiter, None if encoding is None else _codec(encoding), header, quote, escape, column)


def _character(options: Mapping[str, object], name: str, *, but: str, like: str) -> str | None:
    """Return an option that is one plain character; None: it is absent."""
    given = options.get(name)
    if given is None:
        return None
    is_plain = isinstance(given, str) and len(given) == 1 and given.isascii() and given not in f"\r\n\0{but}"
    if not (isinstance(given, str) and is_plain):
        raise InvalidInput(f"The {name} is not one plain character. Give one, like {like}.")
    return given


def kind_of(path: Path) -> FileKind:
    """Return the kind of a data file, judged by its ending, also below `.gz`.

    Raises:
        InvalidInput: It is not a kind that can be read.
    """
    kind = _KINDS.get(_plain(path).suffix.lower())
    if kind is None or (_is_gzipped(path) and kind not in _GZIPPED):
        raise InvalidInput(
            f"By its ending, {path.name!r} is not a CSV, TSV, JSON, JSONL, Parquet or Excel file, or gzip of the first "
            "four. Save it as one of these."
        )
    return kind


def one_file(path: Path, name: str, *, bounds: ReadingBounds = BOUNDS) -> Origin:
    """Return one of the program's own files as an origin.

    Raises:
        InvalidInput: Its ending is not one that can be read.
    """
    file = DataFile(path, name, kind_of(path), _is_gzipped(path), bounds=bounds)
    return Origin(name, file.kind, {name: [file]}, bounds=bounds)


def find(workspace: "Workspace", source: str, options: Mapping[str, object], bounds: ReadingBounds = BOUNDS) -> Origin:
    """Find what *source* means: a file, a sheet as `book.xlsx#Sheet2`, files as `data/*.csv`, or a query over these.

    *options* are those of `reading`.

    Raises:
        InvalidInput: It cannot be used.
        NotFound: There is no such file.
    """
    how = reading(options)
    if not _is_query(workspace, source):
        files = _files(workspace, source, how, bounds)
        name, kind = (files[0].name, files[0].kind) if len(files) == 1 else (source, "files")
        return Origin(name, kind, {name: files}, bounds=bounds)
    names = table_names(source)
    tables = {name: _files(workspace, name, how, bounds) for name in names}
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Origin(f"a query over {shown}" if names else "a query", "query", tables, source, bounds)


def _is_query(workspace: "Workspace", source: str) -> bool:
    if not _IS_SQL.match(source):
        return False
    if _plain(Path(source)).suffix.lower() not in _KINDS:
        return True
    try:
        workspace.file_to_read(source)
    except (InvalidInput, NotFound):
        return True
    return False


def _files(workspace: "Workspace", name: str, how: Reading, bounds: ReadingBounds) -> list[DataFile]:
    """Return the files that *name* means; a file of that name is that file, whatever the name looks like."""
    sheet = None
    try:
        paths = [workspace.file_to_read(name)]
    except NotFound:
        if found := _SHEET.fullmatch(name):
            paths, sheet = [workspace.file_to_read(found["book"])], found["sheet"]
        elif _PATTERN.search(name):
            paths = workspace.files_to_read(name, most=bounds.files)
        else:
            raise
    return [
        DataFile(
            path,
            workspace.display_name(path) + (f"#{sheet}" if sheet else ""),
            kind_of(path),
            _is_gzipped(path),
            sheet,
            how,
            workspace,
            bounds,
        )
        for path in paths
    ]


def _is_gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _plain(path: Path) -> Path:
    return path.with_suffix("") if _is_gzipped(path) and path.stem else path


def _codec(encoding: object) -> str:
    """Return the codec's own name, if it is one for text files."""
    try:
        name = codecs.lookup(str(encoding)).name
    except (LookupError, ValueError):
        name = ""
    if _ENCODINGS.fullmatch(name) is None:
        raise InvalidInput(f"No encoding is called {str(encoding)[:40]!r}. Use one like utf-8, utf-16, windows-1252.")
    return name
