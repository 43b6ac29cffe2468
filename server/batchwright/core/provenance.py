"""How batches and files at a provider show that they are ours: by their metadata and their names. Pure."""

import re
from collections.abc import Mapping

from batchwright.core.model import Part

NONCE_KEY = "batchwright_nonce"
"""The key of a batch's metadata that holds the nonce of the attempt that made it."""
JOB_KEY = "batchwright_job"
PART_KEY = "batchwright_part"
HASH_KEY = "batchwright_sha256"
"""Of the part's file, so that a lost journal can be rebuilt."""
MOST_KEY = "batchwright_most_usd"
"""What is reserved for the part: the local engine must not spend more."""
JOURNAL_KEY = "batchwright_journal"
MACHINE_KEY = "batchwright_machine"
"""Where a batch comes from: one that another machine made does not mean that a journal was lost here."""

_JOB = re.compile(r"job_[a-z0-9]{8}")
_UPLOAD = re.compile(rf"({_JOB.pattern})-part-(\d{{4,}})-(\d+)\.jsonl")


def upload_name(part: Part, attempts: int) -> str:
    """Return the name of a part's file at the provider, a new one for each attempt that needs a new file."""
    return f"{part.job_id}-part-{part.number:04d}-{attempts}.jsonl"


def job_of_batch(metadata: Mapping[str, str] | None) -> str | None:
    """Return the job that a batch's metadata names; None: none of ours.

    Anybody who shares the account can write metadata, and a job's id is the name of a folder here.
    """
    named = (metadata or {}).get(JOB_KEY, "")
    return named if _JOB.fullmatch(named) else None


def is_from_elsewhere(metadata: Mapping[str, str] | None, here: Mapping[str, str]) -> bool:
    """Whether another machine's journal made a batch; without that metadata, it may be of a journal lost *here*."""
    there = metadata or {}
    return all(key in there and key in here and there[key] != here[key] for key in (JOURNAL_KEY, MACHINE_KEY))


def job_of_upload(name: str) -> str | None:
    """Return the job that a provider's file was uploaded for, by its name."""
    found = _UPLOAD.fullmatch(name)
    return found[1] if found else None
