"""Causes that the provider names, as data: by its code, its status, or its words.

Covers OpenAI's API and Batch API, Azure, vLLM, Ollama, llama-server and the local engine. A cause that this program can
also find itself lists its own code in `found`.
"""

from batchwright.core.calls import OPEN, Blank, Call
from batchwright.results.causes.cause import ANOTHER_MODEL, ANOTHER_PROMPT, OTHER_PARAMETERS, Cause, by, names, words

THEIRS = (
    Cause(
        name="blocked",
        meaning="the provider's filter refused the prompt",
        helps="seldom helps",
        advice=f"Rephrase the prompt with {ANOTHER_PROMPT}, or leave these rows out.",
        fixed_by=by("prompt"),
        codes=names(
            "content_filter content_policy_violation ResponsibleAIPolicyViolation moderation_blocked invalid_prompt"
        ),
        words=words(r"content (?:filter|policy|management policy)", r"usage polic", r"safety system", r"was flagged"),
    ),
    Cause(
        name="no_credit",
        meaning="the account has no credit left",
        helps="helps once fixed",
        advice="Add credit at the provider, then retry.",
        codes=names("insufficient_quota billing_not_active"),
        statuses=frozenset({402}),
        words=words(
            r"exceeded your current quota",
            r"insufficient (?:balance|credit|quota)",
            r"account is not active",
        ),
    ),
    Cause(
        name="billing_limit",
        meaning="the account's billing limit is reached",
        helps="helps once fixed",
        advice="Raise the limit at the provider, or wait until next month, then retry.",
        codes=names("billing_hard_limit_reached billing_limit_reached"),
        words=words(r"billing (?:hard )?limit"),
    ),
    Cause(
        name="unknown_model",
        meaning="the provider has no such model, or the key may not use it",
        helps="helps with a change",
        advice=f"Name another model with {ANOTHER_MODEL}, or get the key's project access to this one.",
        fixed_by=by("model"),
        codes=names("model_not_found DeploymentNotFound not_found_error NotFoundError"),
        words=words(
            r"model .{0,120}(?:does not exist|not found|not supported by the batch api)",
            r"(?:no|not have) access to (?:it|the model|model)",
            r"deployment .{0,60}does not exist",
            r"must be verified to use the model",
        ),
        change="model",
    ),
    Cause(
        name="not_allowed",
        meaning="the key lacks permission",
        helps="helps once fixed",
        advice="Fix the key's permissions or the organization's settings at the provider, then retry.",
        codes=names("unsupported_country_region_territory permission_denied insufficient_permissions"),
        statuses=frozenset({403}),
        words=words(r"insufficient permissions"),
    ),
    Cause(
        name="wrong_key",
        meaning="the API key is missing or wrong",
        helps="helps once fixed",
        advice="Correct the key in the server's settings, restart the server, then retry.",
        codes=names("invalid_api_key authentication_error"),
        statuses=frozenset({401}),
        words=words(r"(?:incorrect|invalid|provide an) api key", r"api key is (?:not valid|missing|invalid)"),
    ),
    Cause(
        name="over_the_rate",
        meaning="one request exceeds the account's rate limit",
        helps="does not help",
        advice=f"Shorten it with {ANOTHER_PROMPT}, or switch to a model with a higher limit with {ANOTHER_MODEL}.",
        fixed_by=by("prompt", "model"),
        found=("too_large_to_enqueue",),
        words=words(r"request too large for", r"tokens must be reduced in order to run"),
    ),
    Cause(
        name="enqueued_limit",
        meaning="more tokens or requests are enqueued than the provider allows",
        helps="helps",
        advice="Retry when earlier batches have finished; the retry is split into parts that fit.",
        codes=names("token_limit_exceeded"),
        words=words(r"enqueued (?:token|request)s? limit"),
    ),
    Cause(
        name="rate_limit",
        meaning="too many requests at once",
        helps="helps",
        advice="Retry later. On your own server, lower BATCHWRIGHT_CONCURRENCY to send fewer at once.",
        found=("refused_often",),
        codes=names("rate_limit_exceeded rate_limit_error slow_down"),
        statuses=frozenset({429}),
        words=words(r"rate limit", r"too many requests"),
    ),
    Cause(
        name="answer_too_long",
        meaning="the token limit is higher than the model can write",
        helps="helps with a change",
        advice="Lower the token limit.",
        words=words(r"tokens['\"`]? is too large", r"supports at most [\d,]+ completion"),
        change="fewer tokens",
    ),
    Cause(
        name="too_many_inputs",
        meaning="one request has more inputs or tokens than the provider accepts",
        helps="helps",
        advice="A retry sends the rows of a packed request one by one.",
        codes=names("max_tokens_per_request array_above_max_length"),
        words=words(r"max [\d,]+ tokens per request", r"maximum request size", r"array too long"),
    ),
    Cause(
        name="too_long",
        meaning="the text is longer than the model's context",
        helps="does not help",
        advice=f"Shorten it with {ANOTHER_PROMPT}, where {{{{column[:20000]}}}} takes the first 20,000 characters, or "
        f"switch to a model with a longer context with {ANOTHER_MODEL}. OpenAI's embedding models read 8,192 tokens.",
        fixed_by=by("prompt", "model"),
        codes=names("context_length_exceeded string_above_max_length exceed_context_size_error"),
        words=words(r"(?:maximum|available) (?:context|input) (?:length|size)", r"context window", r"string too long"),
    ),
    Cause(
        name="image_not_fetched",
        meaning="the provider could not fetch an image or a file from its address",
        helps="helps",
        advice="Retry. If it fails again, the address is wrong or the provider cannot reach it.",
        words=words(r"(?:timeout|error) while downloading", r"(?:failed|unable) to download"),
    ),
    Cause(
        name="bad_image",
        meaning="an image or a file cannot be read, or has an unsupported format",
        helps="does not help",
        advice="Fix the images or their addresses in the data, and make a new job for these rows.",
        codes=names(
            "invalid_image_url invalid_image invalid_image_format image_parse_error invalid_base64 "
            "invalid_base64_image image_too_large image_too_small unsupported_image_media_type"
        ),
        words=words(r"(?:invalid|unsupported) image", r"base64"),
    ),
    Cause(
        name="no_json_word",
        meaning="the json_object mode needs the word JSON in the prompt",
        helps="helps with a change",
        advice=f"Ask for JSON in the prompt: {ANOTHER_PROMPT}.",
        fixed_by=by("prompt"),
        words=words(r"must contain the word 'json'"),
    ),
    Cause(
        name="schema_not_taken",
        meaning="the model does not accept this output schema",
        helps="does not help",
        advice=f"Switch to a model that accepts it with {ANOTHER_MODEL}, or make a new job with a simpler schema.",
        fixed_by=by("model"),
        codes=names("invalid_json_schema invalid_function_parameters"),
        words=words(r"invalid schema", r"\b(?:response_format|text\.format|json_schema)\b"),
    ),
    Cause(
        name="no_json_made",
        meaning="the provider could not generate valid JSON",
        helps="helps",
        advice="Retry once. If it fails again, make a new job with a simpler schema.",
        codes=names("json_validate_failed"),
        words=words(r"failed to (?:generate|validate) json"),
    ),
    Cause(
        name="no_such_batches",
        meaning="the server runs no batches for this endpoint",
        helps="does not help",
        advice="Make a new job with an endpoint that the provider's message names.",
        words=words(
            r"(?:invalid|unsupported) (?:batch )?endpoint", r"endpoint .{0,80}not supported", r"invalid value: '/v1/"
        ),
    ),
    Cause(
        name="wrong_endpoint",
        meaning="the model does not support this endpoint",
        helps="helps with a change",
        advice=f"Switch to a model that does with {ANOTHER_MODEL}, or make a new job with another endpoint.",
        fixed_by=by("model"),
        codes=names("unsupported_endpoint"),
        words=words(
            r"only supported in v1/",
            r"not (?:a chat model|supported (?:in|with|by) the v1/)",
            r"does not support (?:chat|embeddings|responses)",
        ),
    ),
    Cause(
        name="bad_parameter",
        meaning="a parameter was rejected",
        helps="helps with a change",
        advice=f"Leave it out or change it with {OTHER_PARAMETERS}.",
        fixed_by=by("parameters"),
        codes=names(
            "unsupported_parameter unsupported_value unknown_parameter invalid_value invalid_type InvalidParameter "
            "integer_below_min_value integer_above_max_value decimal_below_min_value decimal_above_max_value"
        ),
        words=words(
            r"(?:unsupported|unknown) (?:parameter|value)",
            r"unrecognized (?:request )?(?:argument|parameter|field)",
            r"invalid type for",
            r"(?:integer|decimal|number) (?:below|above)",
            r"not supported with this model",
        ),
        change="parameter",
        are_alike=False,
    ),
    Cause(
        name="several_models",
        meaning="the lines of the batch file name several models",
        helps="helps with a change",
        advice="Use one model for all lines.",
        codes=names("mismatched_model"),
        change="one model",
    ),
    Cause(
        name="streaming",
        meaning="the lines of the batch file ask for streaming, which batches cannot do",
        helps="helps with a change",
        advice="Remove stream.",
        codes=names("streaming_unsupported"),
        change="no stream",
    ),
    Cause(
        name="faulty_file",
        meaning="a line of the batch file is invalid, so none of it ran",
        helps="does not help",
        advice="Fix the line that the notes name, and make a new job from the file.",
        codes=names(
            "invalid_json_line missing_required_parameter invalid_url duplicate_custom_id empty_file invalid_method "
            "invalid_custom_id"
        ),
        are_alike=False,
    ),
    Cause(
        name="too_large",
        meaning="the request is larger than the provider accepts",
        helps="does not help",
        advice=f"Send less of the row with {ANOTHER_PROMPT}, or make a new job with smaller images.",
        fixed_by=by("prompt"),
        codes=names("request_too_large"),
        statuses=frozenset({413}),
        words=words(r"(?:entity|request|file|body) (?:is )?too large"),
    ),
    Cause(
        name="timed_out",
        meaning="no answer came in time",
        helps="helps",
        advice="Retry. Your own server may need a lower BATCHWRIGHT_CONCURRENCY or shorter answers.",
        found=("no_answer",),
        codes=names("request_timeout"),
        statuses=frozenset({408, 504}),
        words=words(r"timed out", r"timeout"),
    ),
    Cause(
        name="connection_lost",
        meaning="the connection dropped on every attempt",
        helps="helps",
        advice="Retry when the model server is working again.",
        found=("connection_lost",),
        codes=names("connection_lost"),
        words=words(r"connection reset"),
    ),
    Cause(
        name="away",
        meaning="the model server cannot be reached",
        helps="helps once fixed",
        advice="Start it or correct its address; a running job continues by itself.",
        found=("unreachable",),
        words=words(r"cannot be reached", r"connection refused"),
        outcomes=frozenset(),
    ),
    Cause(
        name="server_error",
        meaning="the provider had an internal error",
        helps="helps",
        advice="Retry these rows unchanged, later.",
        codes=names("server_error internal_error overloaded_error engine_error service_unavailable"),
        statuses=frozenset({500, 502, 503, 529}),
        words=words(r"server had an error", r"internal (?:server )?error", r"overloaded"),
    ),
    Cause(
        name="wrong_address",
        meaning="the server has nothing at this address",
        helps="helps once fixed",
        advice="Correct the base URL in the server's settings, or name a model that the server has.",
        statuses=frozenset({404, 405}),
        words=words(r"invalid url"),
    ),
    Cause(
        name="invalid_request",
        meaning="the provider rejected the request",
        helps="does not help",
        advice=(
            "Change what the message names with "
            f"{Call('retry_job', prompt=OPEN, model=OPEN, parameters=Blank('{...}'))}."
        ),
        fixed_by=by("prompt", "model", "parameters"),
        codes=names("invalid_request invalid_request_error invalid_value invalid_type"),
        statuses=frozenset({400, 409, 415, 422}),
        are_alike=False,
    ),
)
"""In the order in which they are tried."""
