"""Causes of failures: told from what providers and this program say, with a remedy that can be passed on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.error_bodies import refusal
from batchwright.core.jsonl import decode_result
from batchwright.core.model import (
    OUTCOMES,
    Endpoint,
    Job,
    Json,
    LineError,
    Outcome,
    Part,
    ProviderInfo,
    Recipe,
    Source,
)
from batchwright.core.problem import MAX_CODE_CHARACTERS, HoldCode, Problem, RowCode
from batchwright.costs.prices import closest_priced_name
from batchwright.jobs.collection import ending
from batchwright.results.answers import reader
from batchwright.results.causes.catalogue import CAUSES, cause_of
from batchwright.results.causes.cause import Argument, Cause
from batchwright.results.causes.remedies import Explained, RetryArguments, RetryChanges, best, explain, various
from batchwright.results.causes.signs import ProblemRows, alike, signs
from tests.support.values import OPENAI

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def refused(status: int, message: str, code: Json = None, param: Json = None, kind: str = "test") -> Problem:
    """Give the problem of an error in OpenAI's shape."""
    return refusal(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


def line(code: str, message: str) -> Problem:
    """Give the problem of a row whose line was refused."""
    return LineError(code, message).problem


def whole(code: str, message: str) -> Problem:
    """Give the problem of a row whose batch was refused whole."""
    part = Part("job_a", 1, "failed", "", 9, 2, batch_id="b", batch_status="failed", errors=(LineError(code, message),))
    return ending(part)[1]


LENGTH = "This model's maximum context length is {} tokens. However, {}. Please reduce the length of the messages."
TPM = "for gpt-4o in organization org-abcdefghijklmnop on tokens per min (TPM): Limit 30000, "
NO_MODEL = "The model `gpt-9` does not exist or you do not have access to it."
LARGE = (
    "max_tokens is too large: 20480. This model supports at most 16384 completion tokens, whereas you provided 20480."
)
MISMATCH = (
    "The model 'X' for this request does not match the rest of the batch. "
    "Each batch must contain requests for a single model."
)
ENQUEUED = (
    "Enqueued token limit reached for gpt-4.1 in organization org-X. Limit: 900,000 enqueued tokens. "
    "Please try again once some in_progress batches have been completed."
)

FOUND: tuple[tuple[Outcome, RowCode, str], ...] = (
    ("cut_short", "cut_short", "cut_short"),
    ("cut_short", "no_room_for_text", "no_room_for_text"),
    ("expired", "expired", "expired"),
    ("never_ran", "cancelled", "cancelled"),
    ("never_ran", "budget_used_up", "budget_used_up"),
    ("never_ran", "batch_failed", "never_ran"),
    ("never_ran", "not_sent", "never_ran"),
    ("never_ran", "changed_here", "changed_here"),
    ("never_ran", "gone", "gone"),
    ("never_ran", "no_batch_found", "gone"),
    ("never_ran", "too_large_to_enqueue", "over_the_rate"),
    ("never_ran", "refused_often", "rate_limit"),
    ("refused", "filtered", "filtered"),
    ("refused", "refused", "refused"),
    ("not_fitting", "not_json", "not_json"),
    ("not_fitting", "not_fitting", "not_fitting"),
    ("failed", "empty", "empty"),
    ("failed", "odd_answer", "odd_answer"),
    ("failed", "lost", "lost"),
    ("failed", "no_answer", "timed_out"),
    ("failed", "unreachable", "away"),
    ("unconfirmed", "lost", "unconfirmed"),
    ("unconfirmed", "may_be_paid", "unconfirmed"),
    ("unconfirmed", "given_up", "given_up"),
    ("unconfirmed", "answer_lost", "answer_lost"),
    ("unconfirmed", "answer_unreadable", "answer_unreadable"),
    ("running", "unreachable", "away"),
    ("running", "connection_lost", "connection_lost"),
)
"""Outcomes and codes of this program to causes."""

TOLD: tuple[tuple[Outcome, Problem | None, str], ...] = (
    ("expired", None, "expired"),
    ("never_ran", None, "never_ran"),
    ("never_ran", line("invalid_endpoint", "Invalid endpoint: /v1/responses."), "no_such_batches"),
    # OpenAI, one row at a time.
    ("failed", refused(400, LENGTH.format(8192, "you requested 8256 tokens"), "context_length_exceeded"), "too_long"),
    ("failed", refused(400, "Your input exceeds the context window of this model.", param="input"), "too_long"),
    (
        "failed",
        refused(400, "This model's maximum context length is 8192 tokens, however you requested 51435 tokens."),
        "too_long",
    ),
    ("failed", refused(400, "Requested 309209 tokens, max 300000 tokens per request"), "too_many_inputs"),
    ("failed", refused(400, "Too many tokens", "max_tokens_per_request"), "too_many_inputs"),
    (
        "failed",
        refused(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
            "unsupported_parameter",
            "max_tokens",
        ),
        "bad_parameter",
    ),
    ("failed", refused(400, "Unsupported value: 'temperature' does not support 0.2 with this model."), "bad_parameter"),
    ("failed", refused(400, "Unrecognized request argument supplied: foo"), "bad_parameter"),
    ("failed", refused(400, "Unknown parameter: 'timeout'.", "unknown_parameter", "timeout"), "bad_parameter"),
    ("failed", refused(400, LARGE, "invalid_value", "max_tokens"), "answer_too_long"),
    ("failed", refused(429, f"Rate limit reached {TPM}Used 2.", "rate_limit_exceeded"), "rate_limit"),
    ("failed", refused(429, f"Request too large {TPM}Requested 45000."), "over_the_rate"),
    (
        "failed",
        refused(429, "You exceeded your current quota, please check your plan.", "insufficient_quota"),
        "no_credit",
    ),
    ("failed", refused(429, "Quota", kind="insufficient_quota"), "no_credit"),
    ("failed", refused(400, "Billing hard limit has been reached", "billing_hard_limit_reached"), "billing_limit"),
    ("failed", refused(401, "Incorrect API key provided: [the key].", "invalid_api_key"), "wrong_key"),
    ("failed", refused(401, "You have insufficient permissions for this operation."), "not_allowed"),
    ("failed", refused(403, "Country, region, or territory not supported"), "not_allowed"),
    ("failed", refused(404, NO_MODEL, "model_not_found"), "unknown_model"),
    ("failed", refused(403, "Project `proj_x` does not have access to model `gpt-4`"), "unknown_model"),
    ("failed", refused(404, "Invalid URL (POST /v1/chat/completion)"), "wrong_address"),
    (
        "failed",
        refused(400, "Invalid prompt: your prompt was flagged as potentially violating our usage policy."),
        "blocked",
    ),
    ("failed", refused(400, "Timeout while downloading https://h/a.png.", "invalid_image_url"), "image_not_fetched"),
    ("failed", refused(400, "Timeout while downloading x", "invalid_value", "url"), "image_not_fetched"),
    ("failed", refused(400, "You uploaded an unsupported image.", "invalid_image_format"), "bad_image"),
    ("failed", refused(400, "Invalid schema for response_format 'answer': In context=()"), "schema_not_taken"),
    (
        "failed",
        refused(400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."),
        "schema_not_taken",
    ),
    (
        "failed",
        refused(
            400, "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        ),
        "no_json_word",
    ),
    (
        "failed",
        refused(404, "This is not a chat model and thus not supported in the v1/chat/completions endpoint."),
        "wrong_endpoint",
    ),
    (
        "failed",
        refused(400, "This model is only supported in v1/responses and not in v1/chat/completions."),
        "wrong_endpoint",
    ),
    ("failed", refused(500, "The server had an error while processing your request."), "server_error"),
    ("failed", refused(503, "The engine is currently overloaded, please try again later."), "server_error"),
    ("failed", refused(413, "Payload"), "too_large"),
    ("failed", refused(400, "'$.input' is invalid. Please check the API reference."), "invalid_request"),
    (
        "failed",
        refused(400, "Invalid type for 'messages[0].content'", "invalid_type", "messages[0].content"),
        "invalid_request",
    ),
    ("failed", refused(418, "I am a teapot"), "unknown"),
    # Azure, Groq, vLLM, Ollama, llama-server.
    ("failed", refused(400, "The response was filtered due to the prompt", "content_filter", "prompt"), "blocked"),
    (
        "failed",
        refused(404, "The API deployment for this resource does not exist.", "DeploymentNotFound"),
        "unknown_model",
    ),
    (
        "failed",
        refused(400, "Failed to generate JSON. Please adjust your prompt.", "json_validate_failed"),
        "no_json_made",
    ),
    (
        "failed",
        refusal(400, {"object": "error", "message": LENGTH.format(6048, "you requested 6616 tokens"), "code": 400}),
        "too_long",
    ),
    ("failed", refused(400, "'max_tokens' or 'max_completion_tokens' is too large: 32000."), "answer_too_long"),
    ("failed", refused(404, 'model "llama9" not found, try pulling it first', kind="not_found_error"), "unknown_model"),
    ("failed", refused(400, "the request exceeds the size", 400, kind="exceed_context_size_error"), "too_long"),
    (
        "failed",
        refusal(502, {"error": {"message": "The endpoint's answer (HTTP 502) is not JSON: <html>"}}),
        "server_error",
    ),
    # The local engine.
    ("failed", line("request_timeout", "The request was not answered within 600 seconds."), "timed_out"),
    ("failed", line("connection_lost", "The connection was lost each of the 5 times."), "connection_lost"),
    ("failed", line("engine_error", "The engine could not handle the answer (KeyError)."), "server_error"),
    ("running", Problem.found("unclear", "the endpoint answers HTTP 429; trying again", status=429), "rate_limit"),
    ("running", Problem.found("not_confirmed", "it is not known whether its batch was made"), "unknown"),
    (
        "never_ran",
        whole("endpoint_refused", f"The endpoint refused the first requests with {refused(401, 'No').words}"),
        "wrong_key",
    ),
    # The whole batch, as the Batch API says it.
    ("never_ran", whole("token_limit_exceeded", ENQUEUED), "enqueued_limit"),
    (
        "never_ran",
        whole("model_not_found", "The provided model 'X' is not supported by the Batch API."),
        "unknown_model",
    ),
    ("never_ran", line("model_not_found", "The provided model 'X' is not supported."), "unknown_model"),
    ("never_ran", whole("mismatched_model", MISMATCH), "several_models"),
    (
        "never_ran",
        whole("streaming_unsupported", "Chat Completions: Streaming is not supported in the Batch API."),
        "streaming",
    ),
    ("never_ran", whole("invalid_json_line", "This line is not parseable as valid JSON."), "faulty_file"),
    ("never_ran", whole("missing_required_parameter", "Missing required parameter: 'custom_id'."), "faulty_file"),
    ("never_ran", whole("empty_file", "The input file is empty."), "faulty_file"),
    ("never_ran", line("invalid_request", "Messages parameter is required."), "invalid_request"),
)


@pytest.mark.parametrize(("outcome", "problem", "name"), TOLD)
def test_a_cause_is_told_from_what_is_said(outcome: Outcome, problem: Problem | None, name: str) -> None:
    """Users read what it means, not 40 spellings of it."""
    assert cause_of(outcome, problem).name == name


@given(words=st.text())
@pytest.mark.parametrize(("outcome", "code", "name"), FOUND)
def test_what_this_program_finds_is_known_by_its_code_whatever_the_words(
    outcome: Outcome, code: RowCode, name: str, words: str
) -> None:
    """A sentence may be put in better words, and nothing else changes by it."""
    assert cause_of(outcome, Problem.found(code, words)).name == name


def test_every_code_has_a_cause_and_every_cause_is_reached() -> None:
    """A cause that nothing leads to is a guess, or hidden behind another one; a code without one says nothing."""
    assert {code for _, code, _ in FOUND} == {*get_args(RowCode)}
    assert {cause.name for cause in CAUSES} == {name for _, _, name in (*TOLD, *FOUND)}
    assert [
        code for cause in CAUSES for code in cause.found if (cause.name, code) not in {(n, c) for _, c, n in FOUND}
    ] == []


@pytest.mark.parametrize("code", get_args(HoldCode))
def test_what_a_part_waits_for_is_no_cause(code: HoldCode) -> None:
    """It is told as a note: its rows have no good answer yet, and nothing is wrong with them."""
    assert cause_of("running", Problem.found(code, "it waits")).name == "unknown"


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_an_advice_names_the_arguments_that_mend(cause: Cause) -> None:
    """What a retry is known to fix follows from the arguments, and what the user reads is the advice."""
    assert {name for name in get_args(Argument) if f"{name}=" in cause.advice} == cause.fixed_by


def test_of_a_model_and_of_this_program_no_words_are_looked_at() -> None:
    """A model may say anything, and it is told as what the model said."""
    declined = Problem.found("refused", "HTTP 401: content filter, insufficient_quota", "model")

    assert cause_of("refused", declined).name == "refused"
    assert cause_of("failed", Problem.found("lost", "HTTP 429: Rate limit reached")).name == "lost"


def test_names_are_given_once_and_words_are_short() -> None:
    """An answer shows five of them."""
    names = [cause.name for cause in CAUSES]

    assert len(set(names)) == len(names)
    assert [cause.name for cause in CAUSES if len(cause.meaning) > 90 or len(cause.advice) > 240] == []
    assert all(cause.advice.endswith(".") and not cause.meaning.endswith(".") for cause in CAUSES)


@given(outcome=st.sampled_from(OUTCOMES), words=st.text(max_size=400), code=st.none() | st.text(max_size=200))
def test_whatever_is_said_there_is_a_cause(outcome: Outcome, words: str, code: str | None) -> None:
    """A provider may say anything, and the table must not fail for it."""
    assert cause_of(outcome, Problem.said(words, code=code)) in CAUSES
    assert isinstance(alike(words), str)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {
                "error": {
                    "message": "No.",
                    "type": "invalid_request_error",
                    "param": "temperature",
                    "code": "unsupported_value",
                }
            },
            "HTTP 400 (code unsupported_value, param temperature): No.",
        ),
        ({"error": {"message": "No.", "type": "test", "param": None, "code": None}}, "HTTP 400: No."),
        ({"error": {"message": "No.", "param": "messages"}}, "HTTP 400 (param messages): No."),
        ({"error": {"message": "No.", "type": "insufficient_quota"}}, "HTTP 400 (code insufficient_quota): No."),
        ({"object": "error", "message": "No.", "type": "BadRequestError", "param": None, "code": 400}, "HTTP 400: No."),
        ({"error": "No."}, "HTTP 400: No."),
        ({"error": {"message": "No.", "code": "x" * 99, "param": "a b\n), c"}}, "HTTP 400: No."),
        ({"error": {"message": "No.", "code": [1], "type": {}}}, "HTTP 400: No."),
        ("oops", "HTTP 400: no reason given"),
    ],
)
def test_an_error_body_is_kept_with_its_code_and_parameter(body: Json, words: str) -> None:
    """They say more surely than the message what is wrong; what cannot be a name is not taken for one."""
    assert refusal(400, body).words == words


@pytest.mark.parametrize(
    ("problem", "status", "param"),
    [
        (refused(400, "No.", "unsupported_value", "text.verbosity"), 400, "text.verbosity"),
        (refused(400, "No.", None, "tools[0].type"), 400, "tools[0].type"),
        (refused(400, "Unsupported parameter: 'max_tokens' is not supported."), 400, "max_tokens"),
        (refused(400, "Invalid 'max_output_tokens': integer below minimum value."), 400, "max_output_tokens"),
        (refused(400, "Invalid value: 'foo'. Supported values are: 'a'."), 400, None),
        (whole("endpoint_refused", "It refused with HTTP 401: No."), 401, None),
        (line("request_timeout", "Late."), None, None),
        (Problem.found("lost", "HTTP 401: Unsupported parameter: 'max_tokens'"), None, None),
    ],
)
def test_a_providers_words_tell_what_its_fields_do_not(problem: Problem, status: int | None, param: str | None) -> None:
    """Many servers fill in the message alone; of our own words nothing is read."""
    read = signs(problem)

    assert (read.status, read.param) == (status, param)


def test_what_can_be_no_code_or_status_is_not_kept() -> None:
    """A provider may send a code of a megabyte, or a status of a thousand digits."""
    odd = Problem.said("No.", code="x" * 1_000_000, status=10**1_000)

    assert (len(odd.code or ""), odd.status) == (MAX_CODE_CHARACTERS, None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Limit 30000, Used 2. Try again in 1.5s.", "Limit 40000, Used 17. Try again in 20ms."),
        ("No file 'a b.png' (req_0123456789abcdef)", "No file 'c.png' (req_fedcba9876543210)"),
        ("in organization org-Abc on tokens", "in organization my.own on tokens"),
        ("Timeout while downloading https://h/1.png?x=2", "Timeout while downloading http://other/y"),
        ('n: "it\'s \\"q\\"" is not of type "integer"', 'n: "other" is not of type "integer"'),
        ('t: ["x","y"] has more than 1 item', 't: [{"a":[1]}] has more than 1 item'),
        ('n: "cut off in the mid', 'n: "cut off elsewhere'),
    ],
)
def test_words_that_differ_in_numbers_ids_or_quotes_are_alike(one: str, other: str) -> None:
    """50,000 rows have 50,000 request ids, and one cause."""
    assert alike(one) == alike(other)


def test_a_very_long_message_is_compared_by_its_start() -> None:
    """A provider may send a megabyte, and the assistant waits."""
    assert alike("a-" * 1_000_000) == alike("a-" * 1_000 + "b")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTP 400: No.", "HTTP 500: No."),
        ("Unknown parameter: 'top_p'.", "Unknown parameter: 'temperature'."),
        ("Invalid type for 'text.verbosity'", "Invalid type for 'text.format'"),
        ("The user's text isn't taken", "The user's image isn't taken"),
    ],
)
def test_words_that_mean_different_things_are_not_alike(one: str, other: str) -> None:
    """Two causes in one group would have one remedy, which is wrong for the other."""
    assert alike(one) != alike(other)


def job(
    endpoint: Endpoint = "/v1/chat/completions",
    *,
    model: str = "gpt-5-mini",
    parameters: Mapping[str, Json] | None = None,
    prompt: str | None = "{{text}}",
    **changes: Any,
) -> Job:
    """Give a job at OpenAI that has ended."""
    recipe = Recipe(endpoint, model, prompt, parameters=parameters or {}, inputs_per_request=changes.pop("packed", 1))
    made = Job("job_a", NOW, Source("a.csv", "csv", ("text",), 9), recipe, OPENAI, submitted_at=NOW, ended_at=NOW)
    return replace(made, **changes)


def only(outcome: Outcome, problem: Problem | None, of: Job, parameters: Mapping[str, Json] | None = None) -> Explained:
    """Explain one problem."""
    given = of.recipe.parameters if parameters is None else parameters
    (found,) = explain(
        [ProblemRows(outcome, problem, 3, ("r1", "r1", "r2", "r3", "r4"))], of, given, closest_priced_name
    )
    return found


def changed(outcome: Outcome, problem: Problem | None, of: Job) -> Mapping[str, Json] | None:
    """Give what a remedy changes, beside the job and the outcomes."""
    retry = only(outcome, problem, of).retry
    if retry is None:
        return None
    assert (retry.job_id, retry.outcomes) == ("job_a", (outcome,))
    return {name: value for name, value in retry.call.arguments.items() if name not in {"job_id", "outcomes"}}


TEMPERATURE = refused(400, "Unsupported value: 'temperature' does not support 0.2.", "unsupported_value", "temperature")
TOO_SMALL = refused(
    400,
    "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 10 instead.",
    "integer_below_min_value",
    "max_output_tokens",
)
USE = refused(400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.")
CUT = Problem.found("cut_short", "the answer reached the token limit")
NO_ROOM = Problem.found("no_room_for_text", "the answer reached the token limit before any text")
DECLINED = Problem.found("refused", "No.", "model")
WRONG_KEY = Problem.found("unclear", "its batch failed (The key is not valid.)", status=401)


@pytest.mark.parametrize(
    ("outcome", "problem", "parameters", "expected"),
    [
        ("cut_short", CUT, {"max_completion_tokens": 100}, {"parameters": {"max_completion_tokens": 200}}),
        ("cut_short", CUT, {"max_tokens": 50}, {"parameters": {"max_tokens": 100}}),
        ("cut_short", NO_ROOM, {"max_tokens": 50}, {"parameters": {"max_tokens": 200}}),
        ("cut_short", CUT, {}, None),
        ("failed", TEMPERATURE, {"temperature": 0.2, "seed": 1}, {"parameters": {"temperature": None}}),
        ("failed", TEMPERATURE, {}, None),
        ("failed", USE, {"max_tokens": 9}, {"parameters": {"max_tokens": None, "max_completion_tokens": 9}}),
        ("failed", refused(400, LARGE), {"max_tokens": 20480}, {"parameters": {"max_tokens": 16384}}),
        ("failed", refused(400, "Unknown parameter: 'text.x'."), {"text": {"x": 1}}, {"parameters": {"text": None}}),
        ("never_ran", whole("streaming_unsupported", "No."), {}, {"parameters": {"stream": None}}),
        ("never_ran", whole("mismatched_model", MISMATCH), {}, {"model": "gpt-5-mini"}),
        ("failed", refused(429, "Rate limit reached"), {}, {}),
        ("failed", refused(401, "No.", "invalid_api_key"), {}, {}),
        ("expired", None, {}, {}),
        ("not_fitting", Problem.found("not_json", "the answer is not JSON"), {}, {}),
        ("refused", DECLINED, {}, None),
        ("failed", refused(400, NO_MODEL), {}, None),
        ("failed", refused(400, LENGTH.format(8, "9")), {}, None),
    ],
)
def test_a_remedy_is_the_arguments_of_a_retry(
    outcome: Outcome, problem: Problem, parameters: Mapping[str, Json], expected: Mapping[str, Json] | None
) -> None:
    """An assistant passes them on as they stand; where something has to be chosen there are none."""
    assert changed(outcome, problem, job(parameters=parameters)) == expected


def test_each_endpoint_has_its_own_limit() -> None:
    """/v1/responses calls it otherwise, and takes no less than 16."""
    of = job("/v1/responses", parameters={"max_output_tokens": 10})

    assert changed("cut_short", CUT, of) == {"parameters": {"max_output_tokens": 20}}
    assert changed("failed", TOO_SMALL, of) == {"parameters": {"max_output_tokens": 16}}


@pytest.mark.parametrize(
    ("of", "name"),
    [
        (job(), "max_completion_tokens"),
        (job(model="gpt-4.1"), "max_tokens"),
        (job("/v1/responses"), "max_output_tokens"),
        (job(provider=ProviderInfo("endpoint", "localhost:11434", "llama3.2")), "max_tokens"),
    ],
)
def test_where_no_limit_was_set_the_advice_names_the_one_to_set(of: Job, name: str) -> None:
    """How high it is to be is not known, but how it is called."""
    found = only("cut_short", CUT, of)

    assert found.retry is None
    assert f'retry_job(parameters={{"{name}": ...}})' in found.advice


def test_a_misspelt_model_is_replaced_by_the_one_that_is_meant() -> None:
    """Only at OpenAI itself: elsewhere a model may be called anything."""
    words = refused(404, "The model `gtp-6-luna` does not exist", "model_not_found")
    of = job(model="gtp-6-luna")
    azure = replace(of, provider=ProviderInfo("service", "x.openai.azure.com", "gtp-6-luna"))

    assert changed("failed", words, of) == {"model": "gpt-6-luna"}
    assert only("failed", words, of).advice.startswith("Did you mean 'gpt-6-luna'?")
    assert changed("failed", words, azure) is None
    assert changed("failed", words, job(model="gtp-5-mini")) is None, "that one is shut down on 2026-12-11"


def test_rows_of_packed_requests_are_sent_one_by_one_so_a_retry_helps() -> None:
    """One bad text fails all beside it; after the first round they went alone."""
    words = refused(400, "'$.input' is invalid.")
    packed = job("/v1/embeddings", packed=8)

    assert only("failed", words, packed).helps == "helps"
    assert changed("failed", words, packed) == {}
    assert changed("failed", words, replace(packed, round=2)) is None


def test_a_ready_made_file_is_mended_as_a_file() -> None:
    """It has no prompt that a retry could change."""
    of = job(prompt=None)
    here = Problem.found("changed_here", "its batch failed (its file was changed on disk)")

    assert "prompt=" not in only("refused", DECLINED, of).advice
    assert only("never_ran", here, of).helps == "does not help"
    assert only("never_ran", here, job()).helps == "helps"


@pytest.mark.parametrize("of", [job(ended_at=None), job(source=Source("b", "results", ("text",), 9))])
def test_what_cannot_be_retried_has_no_call(of: Job) -> None:
    """A call that is refused is no remedy."""
    found = only("failed", refused(429, "Rate limit reached"), of)

    assert (found.cause.name, found.retry) == ("rate_limit", None)
    assert various("failed", 3, of).retry is None


def test_problems_are_grouped_by_cause_with_the_ids_of_three_rows() -> None:
    """Of one cause there are many spellings; of what is not known each stays by itself."""
    problems = [
        ProblemRows("failed", refused(429, "Rate limit reached for a"), 2, ("r1", "r2")),
        ProblemRows("failed", refused(418, "Odd 1"), 1, ("r3",)),
        ProblemRows("failed", refused(429, "Too many requests"), 5, ("r4", "r5", "r6")),
        ProblemRows("failed", refused(418, "Odd 2"), 1, ("r7",)),
        ProblemRows("failed", refused(418, "Even"), 1, ("r8",)),
        ProblemRows("refused", DECLINED, 1, ("r9",)),
        ProblemRows("refused", replace(DECLINED, words="I cannot."), 1, ("r10",)),
    ]

    found = explain(problems, job(), {}, closest_priced_name)

    assert [(each.cause.name, each.rows, each.ids) for each in found] == [
        ("rate_limit", 7, ("r1", "r2", "r4")),
        ("unknown", 2, ("r3", "r7")),
        ("refused", 2, ("r9", "r10")),
        ("unknown", 1, ("r8",)),
    ]
    assert found[1].words == "HTTP 418: Odd 1"


@pytest.mark.parametrize(
    ("outcome", "problem", "speaker"),
    [
        ("failed", TEMPERATURE, "provider"),
        ("never_ran", whole("token_limit_exceeded", ENQUEUED), "provider"),
        ("never_ran", whole("odd", "No word of it is known."), "provider"),
        ("never_ran", WRONG_KEY, "check"),
        ("not_fitting", Problem.found("not_fitting", 'label: "c" is not one of "a" or "b"'), "check"),
        ("refused", DECLINED, "model"),
    ],
)
def test_whose_words_they_are_is_known(outcome: Outcome, problem: Problem, speaker: str) -> None:
    """What a provider or a model says is quoted as theirs, and what this program found is not."""
    found = only(outcome, problem, job())

    assert (found.words, found.speaker) == (problem.words, speaker)


def test_what_says_nothing_more_than_the_cause_is_not_repeated() -> None:
    """The answer is short."""
    found = only("cut_short", CUT, job())

    assert (found.meaning, found.words, found.speaker) == (CUT.words, None, None)


def test_the_best_retry_takes_up_all_that_one_retry_can_help() -> None:
    """One round over all of them is cheaper than one for each cause."""
    of = job(parameters={"max_completion_tokens": 100, "temperature": 0.2})
    problems = [
        ProblemRows("failed", TEMPERATURE, 5),
        ProblemRows("cut_short", CUT, 3),
        ProblemRows("expired", None, 2),
        ProblemRows("refused", DECLINED, 1),
        ProblemRows("never_ran", WRONG_KEY, 1),
    ]

    assert best(explain(problems, of, of.recipe.parameters, closest_priced_name)) == RetryArguments(
        "job_a",
        ("failed", "cut_short", "expired"),
        RetryChanges(parameters={"temperature": None, "max_completion_tokens": 200}),
    )
    assert best(explain(problems[3:4], of, {}, closest_priced_name)) is None


def test_two_retries_that_change_the_same_thing_differently_stay_apart() -> None:
    """What helps most rows is proposed, and not something in between."""
    of = job(parameters={"max_completion_tokens": 100})
    problems = [ProblemRows("cut_short", CUT, 3), ProblemRows("cut_short", NO_ROOM, 2)]

    assert best(explain(problems, of, of.recipe.parameters, closest_priced_name)) == RetryArguments(
        "job_a", ("cut_short",), RetryChanges(parameters={"max_completion_tokens": 200})
    )


@pytest.mark.parametrize(
    ("problem", "changes", "is_met"),
    [
        (TEMPERATURE, RetryChanges(), False),
        (TEMPERATURE, RetryChanges(parameters={"temperature": None}), True),
        (TEMPERATURE, RetryChanges(parameters={"seed": 1}), False),
        (refused(400, NO_MODEL), RetryChanges(), False),
        (refused(400, NO_MODEL), RetryChanges(model="gpt-5"), True),
        (refused(400, LENGTH.format(8, "9")), RetryChanges(parameters={"seed": 1}), False),
        (refused(400, LENGTH.format(8, "9")), RetryChanges(has_text=True), True),
        (refused(429, "Rate limit reached"), RetryChanges(), True),
    ],
)
def test_a_retry_is_known_to_fix_a_problem_or_not(problem: Problem, changes: RetryChanges, *, is_met: bool) -> None:
    """One that sends the same again to the same refusal is money and a day for nothing."""
    assert changes.helps(only("failed", problem, job(parameters={"temperature": 0.2}))) is is_met


def test_an_answer_that_was_cut_before_its_first_word_says_so() -> None:
    """A model that reasons may use up all tokens before it writes."""
    line = b"""{"custom_id": "r1", "error": null, "response": {"status_code": 200, "body":
        {"choices": [{"finish_reason": "length", "message": {"content": ""}}]}}}"""

    result = reader(Recipe("/v1/chat/completions", "m", "p"))(decode_result(line))

    assert (result.outcome, cause_of(result.outcome, result.problem).name) == ("cut_short", "no_room_for_text")
