-- How much time has gone by for the limits, in one row: by the machine's own clock, and across a restart as far as the
-- provider's clock and the wall clock agree. `told_...` is how it stood when the provider last told its time.
CREATE TABLE elapsed (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seconds REAL NOT NULL,
    boot TEXT,
    uptime REAL NOT NULL,
    told_at TEXT,
    told_wall TEXT,
    told_boot TEXT,
    told_seconds REAL
) STRICT;

-- When it was written, in those seconds. What is older than them has the age that the wall clock says today.
ALTER TABLE ledger ADD COLUMN elapsed REAL NOT NULL DEFAULT 0;
ALTER TABLE trial ADD COLUMN elapsed REAL NOT NULL DEFAULT 0;
UPDATE ledger SET elapsed = min(0.0, (julianday(at) - julianday('now')) * 86400.0);
UPDATE trial SET elapsed = min(0.0, (julianday(at) - julianday('now')) * 86400.0);
