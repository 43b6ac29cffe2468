-- Rounds: a retry is a new round over the rows that have no good answer. `job` holds what its current round is.
ALTER TABLE job ADD COLUMN round INTEGER NOT NULL DEFAULT 1;
-- Of all its requests as they were drafted, however they are cut into parts.
ALTER TABLE job ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';

CREATE INDEX job_by_hash ON job (sha256);

CREATE TABLE round (
    job_id TEXT NOT NULL REFERENCES job (id),
    number INTEGER NOT NULL,
    recipe TEXT NOT NULL,
    provider TEXT NOT NULL,
    -- Rows that this round leaves as they are, by outcome.
    kept TEXT NOT NULL DEFAULT '{}',
    drafted_at TEXT NOT NULL,
    -- The most that the user let it cost; NULL: nothing is charged, or nothing is agreed yet.
    agreed_microusd INTEGER,
    PRIMARY KEY (job_id, number)
) STRICT;

INSERT INTO round (job_id, number, recipe, provider, drafted_at)
SELECT id, 1, recipe, provider, created_at FROM job;

ALTER TABLE part ADD COLUMN round INTEGER NOT NULL DEFAULT 1;
-- What it takes of the provider's enqueued limit: input tokens, for embeddings inputs.
ALTER TABLE part ADD COLUMN load INTEGER NOT NULL DEFAULT 0;
ALTER TABLE part ADD COLUMN ceiling_microusd INTEGER;
ALTER TABLE part ADD COLUMN least_microusd INTEGER;
ALTER TABLE part ADD COLUMN cost_microusd INTEGER;
-- As the provider counts at the end of the batch.
ALTER TABLE part ADD COLUMN used_input_tokens INTEGER;
ALTER TABLE part ADD COLUMN used_output_tokens INTEGER;
-- By the provider's clock: no batch of the file is older.
ALTER TABLE part ADD COLUMN file_created_at INTEGER;

-- An attempt may now also end because its batch was refused whole for the enqueued limit (void), or because the user
-- had an unconfirmed one sent again (resent).
CREATE TABLE new_attempt (
    id INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    nonce TEXT NOT NULL UNIQUE,
    file_id TEXT NOT NULL,
    -- By the provider's clock: no batch of the attempt is older.
    file_created_at INTEGER,
    opened_at TEXT NOT NULL,
    opened_boot TEXT,
    opened_uptime REAL NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT 'open'
        CHECK (outcome IN ('open', 'created', 'refused', 'not_sent', 'void', 'resent')),
    batch_id TEXT,
    FOREIGN KEY (job_id, part) REFERENCES part (job_id, number)
) STRICT;

INSERT INTO new_attempt (job_id, part, nonce, file_id, opened_at, outcome, batch_id)
SELECT job_id, part, nonce, file_id, opened_at, outcome, batch_id FROM attempt;

DROP TABLE attempt;

ALTER TABLE new_attempt RENAME TO attempt;

CREATE UNIQUE INDEX one_live_attempt ON attempt (job_id, part) WHERE outcome IN ('open', 'created');

-- Money: reserved when it is agreed, released when nothing was bought, settled when the real cost is known.
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    boot TEXT,
    uptime REAL NOT NULL,
    job_id TEXT NOT NULL REFERENCES job (id),
    part INTEGER NOT NULL,
    round INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('reserve', 'release', 'settle')),
    microusd INTEGER NOT NULL CHECK (microusd >= 0)
) STRICT;

CREATE INDEX ledger_by_job ON ledger (job_id, part);

-- Why nothing may be submitted; lifted only by the user's word.
CREATE TABLE freeze (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    reason TEXT NOT NULL,
    lifted_at TEXT
) STRICT;

-- What the provider said it lets a model have enqueued.
CREATE TABLE enqueued_limit (
    host TEXT NOT NULL,
    model TEXT NOT NULL,
    amount INTEGER NOT NULL,
    learned_at TEXT NOT NULL,
    PRIMARY KEY (host, model)
) STRICT;

-- Providers whose batches were looked through for those of a journal that was lost.
CREATE TABLE known_host (
    host TEXT PRIMARY KEY,
    at TEXT NOT NULL
) STRICT;
