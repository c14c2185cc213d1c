-- What a journal needs beside others.

-- Which journal this is. It names the place that its deployable keeps on a transport: another file has read nothing yet.
CREATE TABLE identity (
	id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

INSERT INTO identity (id) VALUES (lower(hex(randomblob(8))));

-- Deliveries whose answer is to be told to observers. The relay deletes what it has sent; what the answer is, is read when
-- it is sent.
CREATE TABLE records (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	seq          INTEGER NOT NULL,
	subscription INTEGER NOT NULL
) STRICT;

-- Which modules came from another journal, or went to one, and the proof that was made of it. A journal that is 'prepared' is
-- one half of a move of which nobody knows yet whether it takes place: the other journal does.
CREATE TABLE moves (
	id      TEXT    NOT NULL PRIMARY KEY,
	at      INTEGER NOT NULL,
	act     TEXT    NOT NULL CHECK (act IN ('split', 'merge', 'undo')),
	modules TEXT    NOT NULL CHECK (json_valid(modules)),
	other   TEXT    NOT NULL, -- path of the other journal
	state   TEXT    NOT NULL CHECK (state IN ('prepared', 'done')),
	proof   TEXT    NOT NULL CHECK (json_valid(proof))
) STRICT;
