CREATE TABLE job (
    id TEXT PRIMARY KEY,
    created_at TEXT NOT NULL,
    source TEXT NOT NULL,
    recipe TEXT NOT NULL,
    provider TEXT NOT NULL,
    submitted_at TEXT,
    cancelled_at TEXT,
    ended_at TEXT,
    outcomes TEXT,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX job_by_time ON job (created_at DESC, id);

CREATE TABLE part (
    job_id TEXT NOT NULL REFERENCES job (id),
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    file_id TEXT,
    batch_id TEXT,
    batch_status TEXT,
    output_file_id TEXT,
    error_file_id TEXT,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    note TEXT,
    errors TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (job_id, number)
) STRICT;

CREATE UNIQUE INDEX part_by_batch ON part (batch_id) WHERE batch_id IS NOT NULL;

-- One try to have the provider make a part's batch. The nonce goes into the batch's metadata.
CREATE TABLE attempt (
    job_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    nonce TEXT NOT NULL UNIQUE,
    file_id TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT 'open' CHECK (outcome IN ('open', 'created', 'refused', 'not_sent')),
    batch_id TEXT,
    FOREIGN KEY (job_id, part) REFERENCES part (job_id, number)
) STRICT;

-- At any time a part has one batch, or one attempt that may have made one: a second is refused before it is sent.
CREATE UNIQUE INDEX one_live_attempt ON attempt (job_id, part) WHERE outcome IN ('open', 'created');

-- What happened, only ever added to. No text of the user's data and no key is written here.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    job_id TEXT NOT NULL REFERENCES job (id),
    part INTEGER,
    kind TEXT NOT NULL,
    detail TEXT
) STRICT;

CREATE INDEX event_by_job ON event (job_id, id);
