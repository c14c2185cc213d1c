-- The schedules of the modules, each with the due time up to which everything is decided.
CREATE TABLE schedules (
	name    TEXT    NOT NULL PRIMARY KEY,
	spec    TEXT    NOT NULL,
	last_at INTEGER NOT NULL,
	next_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
