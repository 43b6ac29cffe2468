-- When a part's batch has to be over, by the provider's clock.
ALTER TABLE part ADD COLUMN expires_at INTEGER;

-- An attempt may now also end because the user gave its part up: whether it made a batch was never confirmed.
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
        CHECK (outcome IN ('open', 'created', 'refused', 'not_sent', 'void', 'resent', 'given_up')),
    batch_id TEXT,
    FOREIGN KEY (job_id, part) REFERENCES part (job_id, number)
) STRICT;

INSERT INTO new_attempt SELECT * FROM attempt;

DROP TABLE attempt;

ALTER TABLE new_attempt RENAME TO attempt;

CREATE UNIQUE INDEX one_live_attempt ON attempt (job_id, part) WHERE outcome IN ('open', 'created');
