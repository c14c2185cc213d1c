-- What waits for another attempt is found by when it is due, and knows when it first failed.

ALTER TABLE pending ADD COLUMN failed_at INTEGER NOT NULL DEFAULT 0; -- when the first attempt failed; 0 where none did

CREATE INDEX pending_due ON pending (subscription, due_at, key, seq) WHERE state = 'retrying';

-- What people did with deliveries that were open and not dead. Also how a running process hears of it, as with acts.
CREATE TABLE open_acts (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	at           INTEGER NOT NULL,
	actor        TEXT    NOT NULL,
	act          TEXT    NOT NULL CHECK (act IN ('retry', 'drop')),
	seq          INTEGER NOT NULL REFERENCES events (seq),
	subscription INTEGER NOT NULL REFERENCES subscriptions (id),
	reason       TEXT    NOT NULL DEFAULT ''
) STRICT;
