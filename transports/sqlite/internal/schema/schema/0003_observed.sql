-- What the journal of an observer has beside others. It takes in what all deployables of a system send, and runs no module.

-- A row here makes this journal an observer's. The triggers below hold it to that, whoever opens it.
CREATE TABLE observer (
	since INTEGER NOT NULL
) STRICT;

-- Answers to events that are still on their way: events and answers come by different topics.
CREATE TABLE early_records (
	event_id     TEXT    NOT NULL,
	event_type   TEXT    NOT NULL,
	subscription TEXT    NOT NULL,
	at           INTEGER NOT NULL, -- when the answer was given
	record       TEXT    NOT NULL CHECK (json_valid(record)),
	PRIMARY KEY (event_id, event_type, subscription)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER observer_has_no_tables BEFORE INSERT ON migrations
WHEN new.module <> 'journal' AND EXISTS (SELECT 1 FROM observer)
BEGIN
	SELECT RAISE(ABORT, 'this is the journal of an observer, which runs no modules: name another file');
END;

-- Every bus has the one subscription, and every relay and consumer group is of the other kind.
CREATE TRIGGER observer_runs_nothing BEFORE INSERT ON subscriptions
WHEN (new.name = 'bus/unknown' OR new.kind = 'group') AND EXISTS (SELECT 1 FROM observer)
BEGIN
	SELECT RAISE(ABORT, 'this is the journal of an observer, which runs no modules: name another file');
END;

CREATE TRIGGER observer_decides_nothing BEFORE INSERT ON acts
WHEN EXISTS (SELECT 1 FROM observer)
BEGIN
	SELECT RAISE(ABORT, 'this is the journal of an observer, which only looks on: name that of the deployable which runs the subscription, where the dead letter has another number');
END;
