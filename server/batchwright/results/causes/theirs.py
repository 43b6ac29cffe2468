"""Causes that the provider names, as data: by its code, its status, or its words.

They are those of OpenAI's API, of its Batch API, of Azure, vLLM, Ollama and llama-server, and of the local engine.
"""

from batchwright.core.calls import OPEN, Blank, Call
from batchwright.results.causes.cause import ANOTHER_MODEL, ANOTHER_PROMPT, OTHER_PARAMETERS, Cause, names, words

THEIRS = (
    Cause(
        name="blocked",
        meaning="the provider's filter refused the prompt",
        helps="seldom helps",
        advice=f"Ask in other words with {ANOTHER_PROMPT}, or leave these rows out.",
        codes=names(
            "content_filter content_policy_violation ResponsibleAIPolicyViolation moderation_blocked invalid_prompt"
        ),
        words=words(r"content (?:filter|policy|management policy)", r"usage polic", r"safety system", r"was flagged"),
    ),
    Cause(
        name="no_credit",
        meaning="the account has no credit left",
        helps="helps once mended",
        advice="Add credit at the provider, then retry.",
        codes=names("insufficient_quota billing_not_active"),
        statuses=frozenset({402}),
        words=words(
            r"exceeded your current quota",
            r"used up its quota",
            r"insufficient (?:balance|credit|quota)",
            r"account is not active",
        ),
    ),
    Cause(
        name="billing_limit",
        meaning="the account's billing limit is reached",
        helps="helps once mended",
        advice="Raise the limit at the provider, or wait for the next month, then retry.",
        codes=names("billing_hard_limit_reached billing_limit_reached"),
        words=words(r"billing (?:hard )?limit"),
    ),
    Cause(
        name="unknown_model",
        meaning="the provider has no such model, or the key may not use it",
        helps="helps with a change",
        advice=f"Name another with {ANOTHER_MODEL}, or have the key's project given access.",
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
        meaning="the key may not do this",
        helps="helps once mended",
        advice="Have the key's permissions or the organization mended at the provider, then retry.",
        codes=names("unsupported_country_region_territory permission_denied insufficient_permissions"),
        statuses=frozenset({403}),
        words=words(r"insufficient permissions"),
    ),
    Cause(
        name="wrong_key",
        meaning="the API key is missing or wrong",
        helps="helps once mended",
        advice="Have the key mended in the server's settings and the server started again, then retry.",
        codes=names("invalid_api_key authentication_error"),
        statuses=frozenset({401}),
        words=words(r"(?:incorrect|invalid|provide an) api key", r"api key is (?:not valid|missing|invalid)"),
    ),
    Cause(
        name="over_the_rate",
        meaning="one request is larger than what the account may send at a time",
        helps="does not help",
        advice=f"Shorten it with {ANOTHER_PROMPT}, or name a model with a higher limit with {ANOTHER_MODEL}.",
        words=words(r"request too large for", r"tokens must be reduced in order to run", r"one request is larger than"),
    ),
    Cause(
        name="enqueued_limit",
        meaning="more is enqueued than the provider allows",
        helps="helps",
        advice="Retry when earlier batches have ended; parts that fit are made by themselves.",
        codes=names("token_limit_exceeded"),
        words=words(r"enqueued (?:token|request)s? limit", r"provider lets be enqueued"),
    ),
    Cause(
        name="rate_limit",
        meaning="too many requests at a time",
        helps="helps",
        advice="Retry later; for a server of your own, a lower BATCHWRIGHT_CONCURRENCY sends fewer at once.",
        codes=names("rate_limit_exceeded rate_limit_error slow_down"),
        statuses=frozenset({429}),
        words=words(r"rate limit", r"too many requests", r"was refused \d+ times"),
    ),
    Cause(
        name="answer_too_long",
        meaning="the longest answer asked for is longer than the model can write",
        helps="helps with a change",
        advice="Give fewer tokens.",
        words=words(r"tokens['\"`]? is too large", r"supports at most [\d,]+ completion"),
        change="fewer tokens",
    ),
    Cause(
        name="too_many_inputs",
        meaning="one request has more inputs or tokens than the provider takes",
        helps="helps",
        advice="A retry sends the rows of a packed request one by one.",
        codes=names("max_tokens_per_request array_above_max_length"),
        words=words(r"max [\d,]+ tokens per request", r"maximum request size", r"array too long"),
    ),
    Cause(
        name="too_long",
        meaning="the text is longer than the model reads",
        helps="does not help",
        advice=f"Shorten it with {ANOTHER_PROMPT}, where {{{{column[:20000]}}}} takes so many characters, or name a "
        f"model that reads more with {ANOTHER_MODEL}. OpenAI's embedding models read 8,192 tokens.",
        codes=names("context_length_exceeded string_above_max_length exceed_context_size_error"),
        words=words(r"(?:maximum|available) (?:context|input) (?:length|size)", r"context window", r"string too long"),
    ),
    Cause(
        name="image_not_fetched",
        meaning="the provider could not fetch an image or a file from its address",
        helps="helps",
        advice="Retry; if it stays, the address is wrong, or closed to the provider.",
        words=words(r"(?:timeout|error) while downloading", r"(?:failed|unable) to download"),
    ),
    Cause(
        name="bad_image",
        meaning="an image or a file cannot be read, or is of a kind that is not taken",
        helps="does not help",
        advice="Mend the images or their addresses in the data, and make a new job of these rows.",
        codes=names(
            "invalid_image_url invalid_image invalid_image_format image_parse_error invalid_base64 "
            "invalid_base64_image image_too_large image_too_small unsupported_image_media_type"
        ),
        words=words(r"(?:invalid|unsupported) image", r"base64"),
    ),
    Cause(
        name="no_json_word",
        meaning="the mode json_object wants the word JSON in the prompt",
        helps="helps with a change",
        advice=f"Ask for JSON in the prompt: {ANOTHER_PROMPT}.",
        words=words(r"must contain the word 'json'"),
    ),
    Cause(
        name="schema_not_taken",
        meaning="the model does not take this output schema",
        helps="does not help",
        advice=f"Name a model that takes schemas with {ANOTHER_MODEL}, or make a new job with a simpler one.",
        codes=names("invalid_json_schema invalid_function_parameters"),
        words=words(r"invalid schema", r"\b(?:response_format|text\.format|json_schema)\b"),
    ),
    Cause(
        name="no_json_made",
        meaning="the provider could not make JSON of the answer",
        helps="helps",
        advice="Retry once; if it stays, make a new job with a simpler schema.",
        codes=names("json_validate_failed"),
        words=words(r"failed to (?:generate|validate) json"),
    ),
    Cause(
        name="no_such_batches",
        meaning="the server runs no batches for this endpoint",
        helps="does not help",
        advice="Make a new job with another endpoint that its words name.",
        words=words(
            r"(?:invalid|unsupported) (?:batch )?endpoint", r"endpoint .{0,80}not supported", r"invalid value: '/v1/"
        ),
    ),
    Cause(
        name="wrong_endpoint",
        meaning="the model does not answer at this endpoint",
        helps="helps with a change",
        advice=f"Name a model that does with {ANOTHER_MODEL}, or make a new job with another endpoint.",
        codes=names("unsupported_endpoint"),
        words=words(
            r"only supported in v1/",
            r"not (?:a chat model|supported (?:in|with|by) the v1/)",
            r"does not support (?:chat|embeddings|responses)",
        ),
    ),
    Cause(
        name="bad_parameter",
        meaning="a parameter is not taken as it was given",
        helps="helps with a change",
        advice=f"Leave it out, or change it: {OTHER_PARAMETERS}.",
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
        advice="Give all of them one model.",
        codes=names("mismatched_model"),
        change="one model",
    ),
    Cause(
        name="streaming",
        meaning="the lines of the batch file ask for a stream, and no batch streams",
        helps="helps with a change",
        advice="Take stream out.",
        codes=names("streaming_unsupported"),
        change="no stream",
    ),
    Cause(
        name="faulty_file",
        meaning="a line of the batch file is faulty, so nothing of it ran",
        helps="does not help",
        advice="Mend the line that the notes name, and make a new job of the file.",
        codes=names(
            "invalid_json_line missing_required_parameter invalid_url duplicate_custom_id empty_file invalid_method "
            "invalid_custom_id"
        ),
        are_alike=False,
    ),
    Cause(
        name="too_large",
        meaning="the request is larger than the provider takes",
        helps="does not help",
        advice=f"Send less of the row with {ANOTHER_PROMPT}, or make a new job with smaller images.",
        codes=names("request_too_large"),
        statuses=frozenset({413}),
        words=words(r"(?:entity|request|file|body) (?:is )?too large"),
    ),
    Cause(
        name="timed_out",
        meaning="no answer came in time",
        helps="helps",
        advice="Retry; a server of your own may need a lower BATCHWRIGHT_CONCURRENCY, or shorter answers.",
        codes=names("request_timeout"),
        statuses=frozenset({408, 504}),
        words=words(r"timed out", r"timeout"),
    ),
    Cause(
        name="connection_lost",
        meaning="the connection broke off each time",
        helps="helps",
        advice="Retry when the server that answers is well.",
        codes=names("connection_lost"),
        words=words(r"connection was lost", r"connection reset", r"endpoint breaks off"),
    ),
    Cause(
        name="away",
        meaning="the server that answers cannot be reached",
        helps="helps once mended",
        advice="Start it, or have its address mended; a job that runs goes on by itself.",
        words=words(r"endpoint does not answer", r"cannot be reached", r"connection refused"),
        outcomes=frozenset(),
    ),
    Cause(
        name="server_error",
        meaning="the provider had a fault of its own",
        helps="helps",
        advice="Retry these rows as they are, later.",
        codes=names("server_error internal_error overloaded_error engine_error service_unavailable"),
        statuses=frozenset({500, 502, 503, 529}),
        words=words(r"server had an error", r"internal (?:server )?error", r"overloaded"),
    ),
    Cause(
        name="wrong_address",
        meaning="the server has nothing at this address",
        helps="helps once mended",
        advice="Have the base URL mended in the server's settings, or name the model that is there.",
        statuses=frozenset({404, 405}),
        words=words(r"invalid url", r"check the base url"),
    ),
    Cause(
        name="invalid_request",
        meaning="the provider does not take the request as it is",
        helps="does not help",
        advice=f"Change what its words name: {Call('retry_job', prompt=OPEN, model=OPEN, parameters=Blank('{...}'))}.",
        codes=names("invalid_request invalid_request_error invalid_value invalid_type"),
        statuses=frozenset({400, 409, 415, 422}),
        are_alike=False,
    ),
)
"""In the order in which they are looked for."""
