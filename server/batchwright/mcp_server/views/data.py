"""What inspect_data answers."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator

from batchwright.core.calls import Blank, Call
from batchwright.core.model import Json
from batchwright.core.untrusted import MARK, clean, one_line
from batchwright.mcp_server.views.fitting import display_names, fit_value
from batchwright.mcp_server.views.view import MAX_SENTENCE_CHARACTERS, Facts, Name, Next, Sentence, View
from batchwright.tables.inspection import Profile

MAX_SHOWN_COLUMNS = 40
MAX_WARNINGS = 5
MAX_NESTED_BYTES = 600
"""Of a list or an object in a cell."""


class ColumnView(View):
    """One column."""

    name: Name
    type: Name
    empty: Annotated[int | None, AfterValidator(lambda count: count or None)] = None
    distinct: int | None = None
    longest: int | None = None


class InspectView(View):
    """What is in the data."""

    name: Sentence
    rows: int
    columns: list[ColumnView]
    columns_left_out: int | None = None
    id_column: Name | None = None
    sample: list[Facts]
    warnings: list[Sentence] | None = None
    about: Sentence = MARK
    next: Next

    @classmethod
    def of(cls, profile: Profile, *, was_told: bool = False) -> Self:
        """Show a profile; *was_told*: the user described how to read the file."""
        from batchwright.jobs.preflight import is_batch_file

        columns = [ColumnView.model_validate(column) for column in profile.columns[:MAX_SHOWN_COLUMNS]]
        left_out = len(profile.columns) - len(columns)
        # A name that cannot be shown as it is cannot be passed on either.
        id_column = profile.id_column if _is_plain(profile.id_column or "") else None
        file = profile.name if _is_plain(profile.name) else Blank("the same file")
        if is_batch_file([column.name for column in profile.columns]):
            draft = Call("create_batch_file", batch_file=file)
        else:
            draft = Call(
                "create_batch_file",
                source=Blank("the same query") if profile.kind == "query" else file,
                reading=Blank("as here") if was_told else None,
                prompt="... {{column}} ...",
                id_column=id_column,
            )
        return cls(
            name=profile.name,
            rows=profile.rows,
            columns=columns,
            columns_left_out=left_out or None,
            id_column=id_column,
            sample=[_show_row(row) for row in profile.sample],
            warnings=list(profile.warnings[:MAX_WARNINGS]) or None,
            next=(draft,),
        )


def _is_plain(name: str) -> bool:
    """Whether a name can be part of a call unchanged."""
    return bool(name) and one_line(name, MAX_SENTENCE_CHARACTERS) == name and '"' not in name


def _show_row(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return a row fit for the conversation: cleaned, cut, and without its empty cells."""
    names = display_names(list(row)[:MAX_SHOWN_COLUMNS])
    return {
        shown: clean(row[name]) if isinstance(row[name], str) else fit_value(row[name], MAX_NESTED_BYTES)
        for name, shown in names.items()
        if row[name] is not None
    }
