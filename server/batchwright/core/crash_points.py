"""The places where a crash would matter most, by name. Pure: whoever is told of them decides what happens there."""

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
"""`..._meant`: written down, not sent; `..._answered`: the answer is here, not written down; others: written down."""

OnPoint = Callable[[Point], None]
"""Told when the program passes a point."""


def pass_by(_point: Point) -> None:
    """Do nothing."""
