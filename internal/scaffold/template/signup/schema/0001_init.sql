-- The names of all tables begin with the name of the module. A migration that has run is never changed: add 0002_….sql.
CREATE TABLE signup_requests (
	id      TEXT PRIMARY KEY CHECK (id <> ''),
	address TEXT NOT NULL CHECK (address <> '')
) STRICT, WITHOUT ROWID;

-- What the other modules have answered.
CREATE TABLE signup_answers (
	id        TEXT NOT NULL REFERENCES signup_requests (id),
	module    TEXT NOT NULL,
	reference TEXT NOT NULL,
	PRIMARY KEY (id, module)
) STRICT, WITHOUT ROWID;
