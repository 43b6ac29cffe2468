-- A part's problem as JSON; `note` keeps its words.
ALTER TABLE part ADD COLUMN problem TEXT;
UPDATE part SET problem = former_problem(note) WHERE note IS NOT NULL;

-- What happened is one of a closed set of kinds; what differs from time to time is its detail.
UPDATE event SET kind = 'round_drafted', detail = substr(kind, 7, length(kind) - 14) WHERE kind LIKE 'round % drafted';
UPDATE event SET kind = 'round_submitted', detail = substr(kind, 7, length(kind) - 16)
WHERE kind LIKE 'round % submitted';
UPDATE event SET kind = 'split', detail = substr(kind, 12) WHERE kind LIKE 'split into %';
UPDATE event SET kind = 'attempt_closed', detail = substr(kind, 9) WHERE kind LIKE 'attempt %';
UPDATE event SET kind = 'batch_ended', detail = substr(kind, 7) WHERE kind LIKE 'ended %';
UPDATE event SET kind = replace(kind, ' ', '_')
WHERE kind IN ('batch found', 'retry discarded', 'changed on disk', 'never submitted');
