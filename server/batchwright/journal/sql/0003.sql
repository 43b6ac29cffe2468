-- A trial: some requests of a job, sent one by one, and paid beside its batches. Before anything is sent it counts with
-- the most that it may cost, from then on for a day; what it did cost takes that place when it is known.
-- It keeps counting where its job is recorded anew, so it does not refer to one.
CREATE TABLE trial (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    boot TEXT,
    uptime REAL NOT NULL,
    job_id TEXT NOT NULL,
    microusd INTEGER NOT NULL CHECK (microusd >= 0)
) STRICT;

CREATE INDEX trial_by_job ON trial (job_id);
