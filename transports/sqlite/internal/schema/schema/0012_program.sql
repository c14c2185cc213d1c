-- The program that the journal belongs to. Another program is refused. There is no row until a program with a name opens the journal.
CREATE TABLE program (
	one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	name     TEXT    NOT NULL,
	declares TEXT    NOT NULL -- the program's version, events and subscriptions, as JSON
) STRICT;
