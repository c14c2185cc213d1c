-- How far the topics of others have been read, by place, which is a name of the transport's, and partition. The transport keeps that,
-- too, but may forget it, and does not know whether this journal is older than what it keeps.
CREATE TABLE places (
	place     TEXT    NOT NULL,
	partition INTEGER NOT NULL,
	topic     TEXT    NOT NULL, -- its identity: another topic of the same name has another one
	next      INTEGER NOT NULL,
	PRIMARY KEY (place, partition)
) STRICT, WITHOUT ROWID;
