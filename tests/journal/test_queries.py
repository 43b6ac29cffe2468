"""The journal at a glance."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from batchwright.core.model import ProviderInfo, Recipe
from tests.support.journals import job, opened, submit
from tests.support.values import START


def test_ids_are_the_newest_first_of_those_that_hold_what_was_typed(tmp_path: Path) -> None:
    """What a user looks for is nearly always what was made last."""
    with opened(tmp_path / "journal.db") as journal:
        for number in range(12):
            journal.add_job(job(f"job_{number:02d}", created_at=START + timedelta(minutes=number)))

        assert journal.queries.ids("", 3) == (["job_11", "job_10", "job_09"], 12)
        assert journal.queries.ids("job_1", 5) == (["job_11", "job_10"], 2)
        assert journal.queries.ids("0", 2) == (["job_10", "job_09"], 11)
        assert journal.queries.ids("%", 5) == ([], 0)


def test_models_are_those_of_the_endpoint_the_last_used_first(tmp_path: Path) -> None:
    """A model that embeds is no help for a chat."""
    with opened(tmp_path / "journal.db") as journal:
        for number, model in enumerate(["a", "b", "a", "e"]):
            endpoint = "/v1/embeddings" if model == "e" else "/v1/chat/completions"
            made = job(f"job_{number}", created_at=START + timedelta(minutes=number))
            provider = ProviderInfo("endpoint", "localhost", model)
            journal.add_job(replace(made, recipe=Recipe(endpoint, model, "x"), provider=provider))

        assert journal.queries.models("/v1/chat/completions") == ["a", "b"]
        assert journal.queries.models("/v1/embeddings") == ["e"]


def test_a_job_changed_when_its_last_event_was(tmp_path: Path) -> None:
    """Clients sort and refresh by it."""
    with opened(tmp_path / "journal.db") as journal:
        for job_id in ("job_a", "job_b"):
            journal.add_job(job(job_id))
        submit(journal, "job_a")

        times = journal.queries.changed_at(["job_a", "job_b", "job_none"])

        assert times == {job_id: journal.events.of(job_id)[-1][0] for job_id in ("job_a", "job_b")}
        assert times["job_a"] > times["job_b"]
        assert journal.queries.changed_at([]) == {}
