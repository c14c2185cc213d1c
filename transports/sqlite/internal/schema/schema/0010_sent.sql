-- How far the events of the log have been sent to each topic, where that is not as far as to all of them, which the subscription
-- 'relay' says: a topic that cannot be written holds up no other.
CREATE TABLE sent (
	topic  TEXT    NOT NULL PRIMARY KEY,
	cursor INTEGER NOT NULL,
	base   INTEGER NOT NULL -- the cursor of 'relay' when this was written: when that is moved back, everything is sent again
) STRICT, WITHOUT ROWID;
