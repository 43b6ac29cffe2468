-- How far a submitted job had come, and when: for a chart. A job has a bounded number of points.
CREATE TABLE progress (
    id INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES job (id),
    at TEXT NOT NULL,
    round INTEGER NOT NULL,
    counts TEXT NOT NULL
) STRICT;

CREATE INDEX progress_by_job ON progress (job_id, id);
