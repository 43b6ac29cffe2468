"""The tables that SQL names: all of them, each once, before anything is run."""

import pytest

from batchwright.core.errors import InvalidInput
from batchwright.tables.sql_names import table_names


def test_names_come_once_and_in_the_order_of_the_query() -> None:
    """The first is what the source is called by."""
    assert table_names("SELECT * FROM 'b.csv' JOIN 'a.csv' USING (id) JOIN (FROM 'b.csv') USING (id)") == [
        "b.csv",
        "a.csv",
    ]


def test_what_with_names_is_no_table() -> None:
    """Nobody has a file of that name; before it is named, the same word is one."""
    assert table_names("WITH a AS (FROM 'x.csv') FROM a") == ["x.csv"]
    assert table_names("WITH a AS (FROM a) FROM a") == ["a"]


def test_no_variable_of_the_program_is_a_table() -> None:
    """DuckDB would take a Python variable for a table that it does not find."""
    work = "work"

    assert work in table_names("SELECT * FROM work")
    with pytest.raises(InvalidInput, match="read_csv is not available in queries here"):
        table_names("WITH a AS (SELECT * FROM (FROM a)) SELECT * FROM a, read_csv('x')")


def test_the_advice_says_which_tables_there_are() -> None:
    """The results of a job have other tables than a folder of files."""
    with pytest.raises(InvalidInput, match=r"There is no table a\.b\. Tables: results\."):
        table_names("SELECT * FROM a.b", advice="Tables: results.")
