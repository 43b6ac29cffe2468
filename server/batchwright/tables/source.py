"""What a user names as a source: a file, several files, or a query over files. Finds them; reads none."""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from batchwright.core.errors import InvalidInput, NotFound
from batchwright.core.model import SourceKind
from batchwright.tables.sql_names import table_names

if TYPE_CHECKING:
    from batchwright.core.workspace import Workspace

FileKind = Literal["csv", "json", "jsonl", "parquet", "excel"]

MAX_FILES = 1_000
_OPTIONS = ("delimiter", "encoding", "header", "quote", "escape", "file_column")

_KINDS: Mapping[str, FileKind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",
    ".xlsb": "excel",
    ".ods": "excel",
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
class Reading:
    """How files are to be read, where that is not to be found out.

    Attributes:
        delimiter: Of CSV; None: the one that the header has most of.
        encoding: Of text, a codec's name; None: UTF-8, or what the file shows.
        has_header: Whether the first line of CSV names the columns; None: judged by the lines below it.
        quote: Around the texts of CSV; empty: none; None: what the first line shows.
        escape: Before a quote inside such a text; None: the quote itself.
        file_column: A column to be added, with the name of each row's file.
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
        name: What the user calls it.
        sheet: Of an Excel file; None: the first.
        workspace: Whose file it is, to be copied before it is read; None: the program's own.
    """

    path: Path
    name: str
    kind: FileKind
    is_gzipped: bool = False
    sheet: str | None = None
    reading: Reading = field(default_factory=Reading)
    workspace: "Workspace | None" = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from.

    Attributes:
        name: For the user, and short.
        tables: Files with the same columns, by the name that a query has for them; without a query there is one.
        query: SQL over the tables.
    """

    name: str
    kind: SourceKind
    tables: Mapping[str, Sequence[DataFile]]
    query: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(dict.fromkeys(file.path for files in self.tables.values() for file in files))


def reading(options: Mapping[str, object]) -> Reading:
    """Read how files are to be read: each of the options may be absent.

    Raises:
        InvalidInput: One of them cannot be.
    """
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        known = f"{', '.join(_OPTIONS[:-1])} and {_OPTIONS[-1]}"
        raise InvalidInput(f"There is no reading option {unknown[0]!r}. There are {known}.")
    encoding, header, column = options.get("encoding"), options.get("header"), options.get("file_column")
    delimiter = _character(options, "delimiter", but='"', like='";" or "\\t"')
    if not isinstance(header, bool | None):
        raise InvalidInput("header is neither true nor false. Say whether the first line names the columns.")
    if column is not None and not (isinstance(column, str) and column.strip()):
        raise InvalidInput('file_column is no name. Give one for the column with the files, like "file".')
    quote = "" if options.get("quote") == "" else _character(options, "quote", but=delimiter or "", like='"\'"')
    escape = _character(options, "escape", but=delimiter or "", like='"\\\\"')
    return Reading(delimiter, None if encoding is None else _codec(encoding), header, quote, escape, column)


def _character(options: Mapping[str, object], name: str, *, but: str, like: str) -> str | None:
    """Return an option that is one plain character; None: it is not given."""
    given = options.get(name)
    if given is None:
        return None
    is_plain = isinstance(given, str) and len(given) == 1 and given.isascii() and given not in f"\r\n\0{but}"
    if not (isinstance(given, str) and is_plain):
        raise InvalidInput(f"The {name} is not one plain character. Give one, like {like}.")
    return given


def kind_of(path: Path) -> FileKind:
    """Tell by its ending what a data file is; gzip is looked through.

    Raises:
        InvalidInput: It is none that can be read.
    """
    kind = _KINDS.get(_plain(path).suffix.lower())
    if kind is None or (_is_gzipped(path) and kind not in _GZIPPED):
        raise InvalidInput(
            f"{path.name!r} is not a CSV, TSV, JSON, JSONL, Parquet or Excel file by its ending, nor gzip of the first "
            "four. Save it as one of these."
        )
    return kind


def one_file(path: Path, name: str, *, sheet: str | None = None, how: Reading | None = None) -> Origin:
    """Return the origin that is one file.

    Raises:
        InvalidInput: Its ending is none that can be read.
    """
    file = DataFile(path, name, kind_of(path), _is_gzipped(path), sheet, how or Reading())
    return Origin(name, file.kind, {name: [file]})


def find(workspace: "Workspace", source: str, options: Mapping[str, object]) -> Origin:
    """Find what *source* means: a file, a sheet as `book.xlsx#Sheet2`, files as `data/*.csv`, or a query over these.

    *options* are those of `reading`.

    Raises:
        InvalidInput: It cannot be used.
        NotFound: There is no such file.
    """
    how = reading(options)
    if not _is_query(workspace, source):
        files = _files(workspace, source, how)
        name = files[0].name if len(files) == 1 else source
        return Origin(name, files[0].kind if len(files) == 1 else "files", {name: files})
    names = table_names(source)
    tables = {name: _files(workspace, name, how) for name in names}
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Origin(f"a query over {shown}" if names else "a query", "query", tables, source)


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


def _files(workspace: "Workspace", name: str, how: Reading) -> list[DataFile]:
    """Return the files that *name* means; one that exists is that file, whatever its name looks like."""
    try:
        path = workspace.file_to_read(name)
    except NotFound:
        if found := _SHEET.fullmatch(name):
            path = workspace.file_to_read(found["book"])
            return [_data_file(workspace, path, how, found["sheet"])]
        if _PATTERN.search(name) is None:
            raise
    else:
        return [_data_file(workspace, path, how)]
    paths = workspace.files_to_read(name, most=MAX_FILES)
    return [_data_file(workspace, path, how) for path in paths]


def _data_file(workspace: "Workspace", path: Path, how: Reading, sheet: str | None = None) -> DataFile:
    name = workspace.display_name(path) + (f"#{sheet}" if sheet else "")
    return DataFile(path, name, kind_of(path), _is_gzipped(path), sheet, how, workspace)


def _is_gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _plain(path: Path) -> Path:
    return path.with_suffix("") if _is_gzipped(path) and path.stem else path


def _codec(encoding: object) -> str:
    """Return the codec's own name; those that are no encoding of a text file are not taken."""
    try:
        name = codecs.lookup(str(encoding)).name
    except (LookupError, ValueError):
        name = ""
    if _ENCODINGS.fullmatch(name) is None:
        raise InvalidInput(f"No encoding is called {str(encoding)[:40]!r}. Give one like utf-8, utf-16, windows-1252.")
    return name
