-- When a subscription gained a type of which it wants only what comes after that.
CREATE TABLE type_starts (
	subscription INTEGER NOT NULL REFERENCES subscriptions (id),
	type         TEXT    NOT NULL,
	since        INTEGER NOT NULL,
	PRIMARY KEY (subscription, type)
) STRICT, WITHOUT ROWID;
