-- The journal. Times are Unix microseconds, durations microseconds.

-- Every event, in the order of its commit. AUTOINCREMENT: pruning must never let a number be used twice.
-- An event's id is unique within its type, because plain Watermill use publishes one message to several topics.
CREATE TABLE events (
	seq            INTEGER PRIMARY KEY AUTOINCREMENT,
	id             TEXT    NOT NULL,
	type           TEXT    NOT NULL,
	version        INTEGER NOT NULL DEFAULT 1,
	source         TEXT    NOT NULL DEFAULT '',
	key            TEXT    NOT NULL DEFAULT '',
	time           INTEGER NOT NULL,
	correlation_id TEXT    NOT NULL,
	causation_id   TEXT    NOT NULL DEFAULT '',
	subscription   TEXT    NOT NULL DEFAULT '',
	hops           INTEGER NOT NULL DEFAULT 0,
	metadata       TEXT    CHECK (metadata IS NULL OR json_valid(metadata)),
	data           BLOB    NOT NULL,
	UNIQUE (id, type)
) STRICT;

CREATE INDEX events_correlation ON events (correlation_id);

-- Who consumes what, and how far: every event up to cursor that a subscription wants has its row in deliveries. The
-- cursor may lag behind the truth; the rows of deliveries above it are what prevents a second effect.
CREATE TABLE subscriptions (
	id         INTEGER PRIMARY KEY,
	name       TEXT    NOT NULL UNIQUE,
	kind       TEXT    NOT NULL CHECK (kind IN ('bus', 'group')),
	types      TEXT    NOT NULL CHECK (json_valid(types)),
	except_of  INTEGER NOT NULL DEFAULT 0 CHECK (except_of IN (0, 1)),
	start_seq  INTEGER NOT NULL,
	cursor     INTEGER NOT NULL CHECK (cursor >= start_seq),
	retired_at INTEGER
) STRICT;

-- One answer per event and subscription; no row means waiting. There are no REFERENCES here: this is the
-- hottest table, only the journal writes it, and every foreign key would cost a look-up per reaction. The CHECK is a chain
-- of ORs because SQLite builds a table for an IN list of more than two, at every insert: measured, 1.2 of 2.4 µs.
CREATE TABLE deliveries (
	seq          INTEGER NOT NULL,
	subscription INTEGER NOT NULL,
	outcome      TEXT    NOT NULL CHECK (outcome = 'done' OR outcome = 'skipped' OR outcome = 'retrying'
	                                  OR outcome = 'blocked' OR outcome = 'dead' OR outcome = 'dropped'),
	attempts     INTEGER NOT NULL,
	started_at   INTEGER NOT NULL,
	duration     INTEGER NOT NULL,
	error        TEXT,
	PRIMARY KEY (seq, subscription)
) STRICT, WITHOUT ROWID;

-- What is open: deliveries that wait for their next attempt, or behind an earlier one of their key ('parked' is a dead
-- letter that holds its key). A row goes when its delivery gets its answer.
CREATE TABLE pending (
	subscription INTEGER NOT NULL,
	key          TEXT    NOT NULL,
	seq          INTEGER NOT NULL,
	state        TEXT    NOT NULL CHECK (state IN ('retrying', 'blocked', 'parked')),
	attempts     INTEGER NOT NULL DEFAULT 0,
	due_at       INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (subscription, key, seq)
) STRICT, WITHOUT ROWID;

-- What a subscription could not process. The bytes, type and version are the event's own row.
CREATE TABLE dead_letters (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	seq             INTEGER NOT NULL REFERENCES events (seq),
	subscription    INTEGER NOT NULL REFERENCES subscriptions (id),
	error           TEXT    NOT NULL,
	stack           TEXT    NOT NULL DEFAULT '',
	attempts        INTEGER NOT NULL,
	first_failed_at INTEGER NOT NULL,
	dead_at         INTEGER NOT NULL,
	status          TEXT    NOT NULL DEFAULT 'dead' CHECK (status IN ('dead', 'replaying', 'replayed', 'dropped')),
	UNIQUE (subscription, seq)
) STRICT;

-- What people did with dead letters. Also how a running process hears of it: it reads on from the last id it saw.
CREATE TABLE acts (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	at          INTEGER NOT NULL,
	actor       TEXT    NOT NULL,
	act         TEXT    NOT NULL CHECK (act IN ('replay', 'drop')),
	dead_letter INTEGER NOT NULL REFERENCES dead_letters (id),
	reason      TEXT    NOT NULL DEFAULT ''
) STRICT;

-- Events that are to be appended later.
CREATE TABLE delayed (
	id             INTEGER PRIMARY KEY AUTOINCREMENT,
	due_at         INTEGER NOT NULL,
	event_id       TEXT    NOT NULL UNIQUE,
	type           TEXT    NOT NULL,
	version        INTEGER NOT NULL,
	source         TEXT    NOT NULL,
	key            TEXT    NOT NULL,
	correlation_id TEXT    NOT NULL,
	causation_id   TEXT    NOT NULL,
	subscription   TEXT    NOT NULL,
	hops           INTEGER NOT NULL,
	data           BLOB    NOT NULL
) STRICT;

CREATE INDEX delayed_due ON delayed (due_at);
