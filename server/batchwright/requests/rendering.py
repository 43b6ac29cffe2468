"""The rows of a frozen source and a recipe to encoded requests, in order, streaming."""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Recipe, Request
from batchwright.requests.measure import Line, Measure
from batchwright.requests.recipe import body_builder, template_columns
from batchwright.tables.frozen import frozen_rows


class Rendered(NamedTuple):
    """A row's request.

    Attributes:
        row: Its number, from 1.
        is_empty: Whether all the columns that it uses are empty.
    """

    row: int
    custom_id: str
    line: Line
    is_empty: bool


class Renderer:
    """Renders the rows of a source as the requests of a recipe.

    Attributes:
        used: The columns that its texts may use.
    """

    def __init__(self, recipe: Recipe, columns: Sequence[str]) -> None:
        """Compile *recipe* against *columns*.

        Raises:
            InvalidInput: A template is broken or names an unknown column, or the parameters contradict the recipe.
        """
        self.used = template_columns(recipe, columns)
        self._body = body_builder(recipe, columns)
        self._measure = Measure(recipe.model, recipe.endpoint)

    def requests(self, frozen: Path, ids: Container[str] | None = None) -> Iterator[Rendered]:
        """Yield the request of each row, or of each whose custom_id is one of *ids*.

        Raises:
            InvalidInput: A row cannot be rendered; the sentence names it.
        """
        for number, (custom_id, row) in enumerate(frozen_rows(frozen, self.used), 1):
            if ids is not None and custom_id not in ids:
                continue
            try:
                line = self._measure.request(Request(custom_id, self._body(row)))
            except InvalidInput as error:
                raise InvalidInput(f"Row {number}: {error}") from error
            except (UnicodeEncodeError, TypeError, ValueError) as error:
                raise InvalidInput(f"Row {number} holds a value that is not valid JSON text. Correct it.") from error
            is_empty = bool(row) and not any(row.values()) and all(value in (None, "") for value in row.values())
            yield Rendered(number, custom_id, line, is_empty)
