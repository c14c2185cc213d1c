-- What a reaction of the measured flow writes down.
CREATE TABLE bench_rows (
	id       INTEGER PRIMARY KEY,
	step     INTEGER NOT NULL,
	order_id TEXT    NOT NULL,
	total    INTEGER NOT NULL
) STRICT;
