-- Which journal this is. Its batches carry it, so that those of other journals can be told apart.
CREATE TABLE identity (
    journal TEXT NOT NULL
) STRICT;

INSERT INTO identity (journal) VALUES (lower(hex(randomblob(16))));

-- When the provider was last asked for all batches of an account, or for those of a job: one process asks for all.
CREATE TABLE look (
    what TEXT PRIMARY KEY,
    boot TEXT,
    uptime REAL NOT NULL,
    -- Batches of the account that this journal does not know; NULL: it could not be asked.
    others TEXT
) STRICT;
