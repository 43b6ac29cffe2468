"""The places where a crash would matter most, by name. Pure: the caller decides what happens at them."""

from collections.abc import Callable
from typing import Literal

Point = Literal[
    "part_writing",
    "part_written",
    "drafted",
    "agreed",
    "upload_meant",
    "upload_answered",
    "uploaded",
    "submission_meant",
    "submission_answered",
    "unknown_written",
    "submitted",
    "end_seen",
    "downloaded",
    "renamed",
    "verified",
    "finished",
    "cancel_answered",
    "deletion_meant",
    "deletion_answered",
]
"""`..._meant`: recorded, not sent; `..._answered`: the answer has arrived, not recorded; others: recorded."""

OnPoint = Callable[[Point], None]
"""Called when the program reaches a point."""


def pass_by(_point: Point) -> None:
    """Do nothing."""
