-- Delayed events with names: a module can replace or cancel one of a name and a key.

ALTER TABLE delayed ADD COLUMN name TEXT NOT NULL DEFAULT '';

CREATE UNIQUE INDEX delayed_name ON delayed (source, name, key) WHERE name <> '';

-- Delayed events that will not come.
CREATE TABLE cancelled (
	id             INTEGER PRIMARY KEY AUTOINCREMENT,
	event_id       TEXT    NOT NULL UNIQUE,
	due_at         INTEGER NOT NULL,
	cancelled_at   INTEGER NOT NULL,
	type           TEXT    NOT NULL,
	source         TEXT    NOT NULL,
	key            TEXT    NOT NULL,
	name           TEXT    NOT NULL,
	correlation_id TEXT    NOT NULL,
	causation_id   TEXT    NOT NULL,
	subscription   TEXT    NOT NULL
) STRICT;

CREATE INDEX cancelled_correlation ON cancelled (correlation_id);
