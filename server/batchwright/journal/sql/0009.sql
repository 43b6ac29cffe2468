-- How long a part rests since the provider refused it for now, by the machine's own clock; each rest takes longer.
CREATE TABLE pause (
    job_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    boot TEXT,
    uptime REAL NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (job_id, part),
    FOREIGN KEY (job_id, part) REFERENCES part (job_id, number) ON DELETE CASCADE
) STRICT;

-- How often results that do not add up were fetched in the same form, and when for the first time.
CREATE TABLE fetch (
    job_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    content TEXT NOT NULL,
    boot TEXT,
    uptime REAL NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (job_id, part, content),
    FOREIGN KEY (job_id, part) REFERENCES part (job_id, number) ON DELETE CASCADE
) STRICT;

-- What fitted under the enqueued limit of a model at most, whatever the provider says the limit is.
CREATE TABLE tightened_limit (
    host TEXT NOT NULL,
    model TEXT NOT NULL,
    amount INTEGER NOT NULL,
    found_at TEXT NOT NULL,
    PRIMARY KEY (host, model)
) STRICT;
