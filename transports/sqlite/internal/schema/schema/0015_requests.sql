-- The answers of units of work under an idempotency key, by module. After until, a key is unknown, and a later request deletes the row.
CREATE TABLE requests (
	module TEXT    NOT NULL,
	key    TEXT    NOT NULL,
	digest BLOB    NOT NULL, -- of the request
	flow   TEXT    NOT NULL,
	answer BLOB    NOT NULL,
	until  INTEGER NOT NULL,
	PRIMARY KEY (module, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_until ON requests (until);
