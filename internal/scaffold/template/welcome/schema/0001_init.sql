-- The names of all tables begin with the name of the module. A migration that has run is never changed: add 0002_….sql.
CREATE TABLE welcome_messages (
	id        TEXT PRIMARY KEY CHECK (id <> ''),
	reference TEXT NOT NULL
) STRICT, WITHOUT ROWID;
