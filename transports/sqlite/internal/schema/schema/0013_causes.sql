-- Dead letters are found by the type of their event, and counted by their cause, however many there are.

-- An error without what differs from one event to the next, of one subscription and type of event.
CREATE TABLE causes (
	id           INTEGER PRIMARY KEY,
	subscription INTEGER NOT NULL,
	type         TEXT    NOT NULL,
	error        TEXT    NOT NULL,
	UNIQUE (subscription, type, error)
) STRICT;

ALTER TABLE dead_letters ADD COLUMN type TEXT NOT NULL DEFAULT ''; -- of its event
-- Its row in causes. The owner finds it, for many letters at once, some time after the death: NULL until then.
ALTER TABLE dead_letters ADD COLUMN cause INTEGER;

UPDATE dead_letters SET type = coalesce((SELECT e.type FROM events e WHERE e.seq = dead_letters.seq), '');

CREATE INDEX dead_letters_type ON dead_letters (type, status);
CREATE INDEX dead_letters_cause ON dead_letters (cause, status, dead_at) WHERE cause IS NOT NULL;
CREATE INDEX dead_letters_new ON dead_letters (id) WHERE cause IS NULL;

CREATE TRIGGER dead_letters_came AFTER INSERT ON dead_letters
BEGIN
	UPDATE dead_letters SET type = coalesce((SELECT e.type FROM events e WHERE e.seq = new.seq), '') WHERE id = new.id;
END;

CREATE TRIGGER dead_letters_again AFTER UPDATE OF error ON dead_letters WHEN new.cause IS NOT NULL
BEGIN
	UPDATE dead_letters SET cause = NULL WHERE id = new.id;
END;
