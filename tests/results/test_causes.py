"""Causes of failures: told from what providers and this program say, with a remedy that can be passed on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.error_bodies import refusal_words
from batchwright.core.jsonl import decode_result
from batchwright.core.model import OUTCOMES, Endpoint, Job, Json, Outcome, ProviderInfo, Recipe, Source
from batchwright.costs.prices import meant
from batchwright.results.answers import reader
from batchwright.results.causes.catalogue import CAUSES, cause_of
from batchwright.results.causes.remedies import Explained, Mended, best, explained, various
from batchwright.results.causes.signs import Problem, alike, signs
from tests.support.values import OPENAI

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def refused(status: int, message: str, code: Json = None, param: Json = None, kind: str = "test") -> str:
    """Give the words of an error in OpenAI's shape."""
    return refusal_words(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


def whole(code: str, message: str) -> str:
    """Give the words of a row whose batch was refused whole."""
    return f"its batch failed ({code}: {message})"


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

TOLD: tuple[tuple[Outcome, str | None, str], ...] = (
    ("cut_short", "the answer reached the token limit", "cut_short"),
    ("cut_short", "the answer reached the token limit before any text", "no_room_for_text"),
    ("expired", "the batch's time was over before this row's turn", "expired"),
    ("expired", None, "expired"),
    ("never_ran", "the batch was cancelled before this row's turn", "cancelled"),
    ("never_ran", "the job was cancelled before this row's turn", "cancelled"),
    ("never_ran", None, "never_ran"),
    ("never_ran", "its batch failed", "never_ran"),
    ("never_ran", "it waits until earlier batches have ended: about 500 tokens may be enqueued at a time", "never_ran"),
    ("refused", "stopped by the provider's content filter", "filtered"),
    ("refused", "I can't help: it is against the usage policies and the content filter.", "refused"),
    ("not_fitting", "the answer is not JSON", "not_json"),
    ("not_fitting", 'label: "c" is not one of "a" or "b"', "not_fitting"),
    ("failed", "the answer is empty", "empty"),
    ("failed", "the answer is not one of /v1/chat/completions", "odd_answer"),
    ("failed", "the answer has no vector for this row", "odd_answer"),
    ("failed", "neither an answer nor an error", "odd_answer"),
    ("failed", "the provider has no result for this row", "lost"),
    ("failed", "its output file file-1 is gone at the provider: these results are lost", "lost"),
    ("unconfirmed", "its output file file-1 is gone at the provider: these results are lost", "unconfirmed"),
    ("unconfirmed", "it was given up: whether its batch was made was never confirmed", "given_up"),
    ("unconfirmed", "answer_lost: No answer came, each of the 2 times that it was sent.", "answer_lost"),
    ("unconfirmed", "answer_unreadable: The line has 900,000,000 bytes.", "answer_unreadable"),
    ("never_ran", "its batch failed (HTTP 400: Invalid endpoint: /v1/responses.)", "no_such_batches"),
    ("never_ran", "its batch failed (it is gone at the provider: No such Batch object: batch_1)", "gone"),
    (
        "never_ran",
        "its batch failed (part-0001.jsonl is not as it was checked: it was changed on disk, so it was not sent)",
        "changed_here",
    ),
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
        refusal_words(
            400, {"object": "error", "message": LENGTH.format(6048, "you requested 6616 tokens"), "code": 400}
        ),
        "too_long",
    ),
    ("failed", refused(400, "'max_tokens' or 'max_completion_tokens' is too large: 32000."), "answer_too_long"),
    ("failed", refused(404, 'model "llama9" not found, try pulling it first', kind="not_found_error"), "unknown_model"),
    ("failed", refused(400, "the request exceeds the size", 400, kind="exceed_context_size_error"), "too_long"),
    (
        "failed",
        refusal_words(502, {"error": {"message": "The endpoint's answer (HTTP 502) is not JSON: <html>"}}),
        "server_error",
    ),
    # The local engine.
    (
        "unconfirmed",
        "answer_lost: The connection was lost each of the 5 times that this request was sent.",
        "answer_lost",
    ),
    ("never_ran", "what was agreed was used up before this row's turn", "budget_used_up"),
    ("failed", "request_timeout: The request was not answered within 600 seconds.", "timed_out"),
    (
        "failed",
        "connection_lost: The connection was lost each of the 5 times that this request was sent.",
        "connection_lost",
    ),
    ("failed", "engine_error: The engine could not handle the answer (KeyError).", "server_error"),
    ("running", "the endpoint does not answer (ClientConnectorError); trying again", "away"),
    ("running", "the endpoint answers HTTP 429; trying again", "rate_limit"),
    ("running", "it is not confirmed whether its batch was made", "unknown"),
    (
        "never_ran",
        whole(
            "endpoint_refused", f"The endpoint refused the first requests with {refused(401, 'No', 'invalid_api_key')}"
        ),
        "wrong_key",
    ),
    # The whole batch, as the Batch API says it.
    ("never_ran", whole("token_limit_exceeded", ENQUEUED), "enqueued_limit"),
    (
        "never_ran",
        "its batch failed (its one request is larger than what the provider lets be enqueued: 5)",
        "over_the_rate",
    ),
    (
        "never_ran",
        whole("model_not_found", "The provided model 'X' is not supported by the Batch API."),
        "unknown_model",
    ),
    ("never_ran", "model_not_found: The provided model 'X' is not supported by the Batch API.", "unknown_model"),
    ("never_ran", whole("mismatched_model", MISMATCH), "several_models"),
    (
        "never_ran",
        whole("streaming_unsupported", "Chat Completions: Streaming is not supported in the Batch API."),
        "streaming",
    ),
    ("never_ran", whole("invalid_json_line", "This line is not parseable as valid JSON."), "faulty_file"),
    ("never_ran", whole("missing_required_parameter", "Missing required parameter: 'custom_id'."), "faulty_file"),
    ("never_ran", whole("empty_file", "The input file is empty."), "faulty_file"),
    ("never_ran", "invalid_request: Messages parameter is required.", "invalid_request"),
    ("never_ran", "its batch failed (The API key is not valid. Set the right one.)", "wrong_key"),
    (
        "never_ran",
        "its batch failed (The account has used up its quota; nothing was sent again. Add credit at the provider.)",
        "no_credit",
    ),
    (
        "never_ran",
        "its batch failed (it was refused 8 times, and given up: Rate limit reached for requests.)",
        "rate_limit",
    ),
    ("never_ran", "its batch failed (Not found. Check the base URL.)", "wrong_address"),
)


@pytest.mark.parametrize(("outcome", "words", "name"), TOLD)
def test_a_cause_is_told_from_what_is_said(outcome: Outcome, words: str | None, name: str) -> None:
    """Users read what it means, not 40 spellings of it."""
    assert cause_of(outcome, words).name == name


def test_every_cause_is_told_from_something() -> None:
    """A cause that nothing leads to is a guess, or hidden behind another one."""
    assert {cause.name for cause in CAUSES} == {name for _, _, name in TOLD}


def test_names_are_given_once_and_words_are_short() -> None:
    """An answer shows five of them."""
    names = [cause.name for cause in CAUSES]

    assert len(set(names)) == len(names)
    assert [cause.name for cause in CAUSES if len(cause.meaning) > 90 or len(cause.advice) > 240] == []
    assert all(cause.advice.endswith(".") and not cause.meaning.endswith(".") for cause in CAUSES)


@given(outcome=st.sampled_from(OUTCOMES), words=st.text(max_size=400))
def test_whatever_is_said_there_is_a_cause(outcome: Outcome, words: str) -> None:
    """A provider may say anything, and the table must not fail for it."""
    assert cause_of(outcome, words) in CAUSES
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
    assert refusal_words(400, body) == words


@pytest.mark.parametrize(
    ("words", "status", "code", "param"),
    [
        ("HTTP 400 (code unsupported_value, param text.verbosity): No.", 400, "unsupported_value", "text.verbosity"),
        ("HTTP 400 (param tools[0].type): No.", 400, None, "tools[0].type"),
        ("HTTP 400: Unsupported parameter: 'max_tokens' is not supported.", 400, None, "max_tokens"),
        ("HTTP 400: Invalid 'max_output_tokens': integer below minimum value.", 400, None, "max_output_tokens"),
        ("HTTP 400: Invalid value: 'foo'. Supported values are: 'a'.", 400, None, None),
        ("its batch failed (endpoint_refused: It refused with HTTP 401 (code k_1): No.)", 401, "k_1", None),
        ("request_timeout: Late.", None, "request_timeout", None),
        ("Sorry: no.", None, None, None),
    ],
)
def test_what_is_kept_is_read_again(words: str, status: int | None, code: str | None, param: str | None) -> None:
    """Results are read long after they came, also those that an older version wrote down."""
    found = signs(words)

    assert (found.status, found.code, found.param) == (status, code, param)


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


def only(outcome: Outcome, words: str | None, of: Job, parameters: Mapping[str, Json] | None = None) -> Explained:
    """Explain one problem."""
    given = of.recipe.parameters if parameters is None else parameters
    (found,) = explained([Problem(outcome, words, 3, ("r1", "r1", "r2", "r3", "r4"))], of, given, meant)
    return found


def changed(outcome: Outcome, words: str | None, of: Job) -> Mapping[str, Json] | None:
    """Give what a remedy changes, beside the job and the outcomes."""
    arguments = only(outcome, words, of).arguments
    if arguments is None:
        return None
    assert (arguments["job_id"], arguments["outcomes"]) == ("job_a", [outcome])
    return {name: value for name, value in arguments.items() if name not in {"job_id", "outcomes"}}


TEMPERATURE = refused(400, "Unsupported value: 'temperature' does not support 0.2.", "unsupported_value", "temperature")
TOO_SMALL = refused(
    400,
    "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 10 instead.",
    "integer_below_min_value",
    "max_output_tokens",
)
USE = refused(400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.")
CUT = "the answer reached the token limit"


@pytest.mark.parametrize(
    ("outcome", "words", "parameters", "expected"),
    [
        ("cut_short", CUT, {"max_completion_tokens": 100}, {"parameters": {"max_completion_tokens": 200}}),
        ("cut_short", CUT, {"max_tokens": 50}, {"parameters": {"max_tokens": 100}}),
        ("cut_short", f"{CUT} before any text", {"max_tokens": 50}, {"parameters": {"max_tokens": 200}}),
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
        ("not_fitting", "the answer is not JSON", {}, {}),
        ("refused", "No.", {}, None),
        ("failed", refused(400, NO_MODEL), {}, None),
        ("failed", refused(400, LENGTH.format(8, "9")), {}, None),
    ],
)
def test_a_remedy_is_the_arguments_of_a_retry(
    outcome: Outcome, words: str, parameters: Mapping[str, Json], expected: Mapping[str, Json] | None
) -> None:
    """An assistant passes them on as they stand; where something has to be chosen there are none."""
    assert changed(outcome, words, job(parameters=parameters)) == expected


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

    assert found.arguments is None
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
    here = "its batch failed (part-0001.jsonl is not as it was checked: it was changed on disk, so it was not sent)"

    assert "prompt=" not in only("refused", "No.", of).advice
    assert only("never_ran", here, of).helps == "does not help"
    assert only("never_ran", here, job()).helps == "helps"


@pytest.mark.parametrize("of", [job(ended_at=None), job(source=Source("b", "results", ("text",), 9))])
def test_what_cannot_be_retried_has_no_call(of: Job) -> None:
    """A call that is refused is no remedy."""
    found = only("failed", refused(429, "Rate limit reached"), of)

    assert (found.cause.name, found.arguments) == ("rate_limit", None)
    assert various("failed", 3, of).arguments is None


def test_problems_are_grouped_by_cause_with_the_ids_of_three_rows() -> None:
    """Of one cause there are many spellings; of what is not known each stays by itself."""
    problems = [
        Problem("failed", refused(429, "Rate limit reached for a"), 2, ("r1", "r2")),
        Problem("failed", refused(418, "Odd 1"), 1, ("r3",)),
        Problem("failed", refused(429, "Too many requests"), 5, ("r4", "r5", "r6")),
        Problem("failed", refused(418, "Odd 2"), 1, ("r7",)),
        Problem("failed", refused(418, "Even"), 1, ("r8",)),
        Problem("refused", "I will not.", 1, ("r9",)),
        Problem("refused", "I cannot.", 1, ("r10",)),
    ]

    found = explained(problems, job(), {}, meant)

    assert [(each.cause.name, each.rows, each.ids) for each in found] == [
        ("rate_limit", 7, ("r1", "r2", "r4")),
        ("unknown", 2, ("r3", "r7")),
        ("refused", 2, ("r9", "r10")),
        ("unknown", 1, ("r8",)),
    ]
    assert found[1].words == "HTTP 418: Odd 1"


@pytest.mark.parametrize(
    ("outcome", "words", "speaker"),
    [
        ("failed", TEMPERATURE, "provider"),
        ("never_ran", whole("token_limit_exceeded", ENQUEUED), "provider"),
        ("never_ran", "its batch failed (The API key is not valid. Set the right one.)", "check"),
        ("not_fitting", 'label: "c" is not one of "a" or "b"', "check"),
        ("refused", "I will not.", "model"),
    ],
)
def test_whose_words_they_are_is_known(outcome: Outcome, words: str, speaker: str) -> None:
    """What a provider or a model says is quoted as theirs, and what this program found is not."""
    found = only(outcome, words, job())

    assert (found.words, found.speaker) == (words, speaker)


def test_what_says_nothing_more_than_the_cause_is_not_repeated() -> None:
    """The answer is short."""
    found = only("cut_short", CUT, job())

    assert (found.meaning, found.words, found.speaker) == (CUT, None, "")


def test_the_best_retry_takes_up_all_that_one_retry_can_help() -> None:
    """One round over all of them is cheaper than one for each cause."""
    of = job(parameters={"max_completion_tokens": 100, "temperature": 0.2})
    problems = [
        Problem("failed", TEMPERATURE, 5),
        Problem("cut_short", CUT, 3),
        Problem("expired", None, 2),
        Problem("refused", "No.", 1),
        Problem("never_ran", "its batch failed (The API key is not valid. Set the right one.)", 1),
    ]

    assert best(explained(problems, of, of.recipe.parameters, meant)) == {
        "job_id": "job_a",
        "outcomes": ["failed", "cut_short", "expired"],
        "parameters": {"temperature": None, "max_completion_tokens": 200},
    }
    assert best(explained(problems[3:4], of, {}, meant)) is None


def test_two_retries_that_change_the_same_thing_differently_stay_apart() -> None:
    """What helps most rows is proposed, and not something in between."""
    of = job(parameters={"max_completion_tokens": 100})
    problems = [Problem("cut_short", CUT, 3), Problem("cut_short", f"{CUT} before any text", 2)]

    assert best(explained(problems, of, of.recipe.parameters, meant)) == {
        "job_id": "job_a",
        "outcomes": ["cut_short"],
        "parameters": {"max_completion_tokens": 200},
    }


@pytest.mark.parametrize(
    ("words", "mended", "is_met"),
    [
        (TEMPERATURE, Mended(), False),
        (TEMPERATURE, Mended(parameters={"temperature": None}), True),
        (TEMPERATURE, Mended(parameters={"seed": 1}), False),
        (refused(400, NO_MODEL), Mended(), False),
        (refused(400, NO_MODEL), Mended(model="gpt-5"), True),
        (refused(400, LENGTH.format(8, "9")), Mended(parameters={"seed": 1}), False),
        (refused(400, LENGTH.format(8, "9")), Mended(has_text=True), True),
        (refused(429, "Rate limit reached"), Mended(), True),
    ],
)
def test_a_retry_is_known_to_be_mended_or_not(words: str, mended: Mended, *, is_met: bool) -> None:
    """One that sends the same again to the same refusal is money and a day for nothing."""
    assert mended.helps(only("failed", words, job(parameters={"temperature": 0.2}))) is is_met


def test_an_answer_that_was_cut_before_its_first_word_says_so() -> None:
    """A model that reasons may use up all tokens before it writes."""
    line = b"""{"custom_id": "r1", "error": null, "response": {"status_code": 200, "body":
        {"choices": [{"finish_reason": "length", "message": {"content": ""}}]}}}"""

    result = reader(Recipe("/v1/chat/completions", "m", "p"))(decode_result(line))

    assert (result.outcome, cause_of(result.outcome, result.problem).name) == ("cut_short", "no_room_for_text")
