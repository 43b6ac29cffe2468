"""What says, at a provider, whose a batch or a file is: the metadata of our batches, the names of our files. Pure."""

import re
from collections.abc import Mapping

from batchwright.core.model import Part

NONCE_KEY = "batchwright_nonce"
"""The key of a batch's metadata that holds the nonce of the attempt that made it."""
JOB_KEY = "batchwright_job"
PART_KEY = "batchwright_part"
HASH_KEY = "batchwright_sha256"
"""Of the part's file, so that a journal that was lost can be made anew."""
MOST_KEY = "batchwright_most_usd"
"""What is reserved for the part: for the local engine, which is the one to see that no more is spent."""
JOURNAL_KEY = "batchwright_journal"
MACHINE_KEY = "batchwright_machine"
"""Where a batch comes from: what another machine's journal made is no sign that one was lost here."""

_JOB = re.compile(r"job_[a-z0-9]{8}")
_UPLOAD = re.compile(rf"({_JOB.pattern})-part-(\d{{4,}})-(\d+)\.jsonl")


def upload_name(part: Part, attempts: int) -> str:
    """Return the name of a part's file at the provider: another one for each attempt that needs a new file."""
    return f"{part.job_id}-part-{part.number:04d}-{attempts}.jsonl"


def job_of_batch(metadata: Mapping[str, str] | None) -> str | None:
    """Return the job that a batch says it was made for; None: none of ours.

    Whoever shares the account may write what they like there, and a job's id is the name of a folder here.
    """
    named = (metadata or {}).get(JOB_KEY, "")
    return named if _JOB.fullmatch(named) else None


def is_from_elsewhere(metadata: Mapping[str, str] | None, here: Mapping[str, str]) -> bool:
    """Whether another machine's journal made a batch; one that does not say so may be of a journal lost *here*."""
    there = metadata or {}
    return all(key in there and key in here and there[key] != here[key] for key in (JOURNAL_KEY, MACHINE_KEY))


def job_of_upload(name: str) -> str | None:
    """Return the job that a file at the provider was uploaded for, by its name."""
    found = _UPLOAD.fullmatch(name)
    return found[1] if found else None
