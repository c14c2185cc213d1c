-- What makes reading quick, however long the journal is.

-- The flows in which there is a key, by block of the log. Where the key is the flow's id, the index of flows finds it. An index of the
-- keys of all events would cost a publish and its reactions 3 %.
CREATE TABLE keys (
	key            TEXT    NOT NULL,
	block          INTEGER NOT NULL,
	correlation_id TEXT    NOT NULL,
	PRIMARY KEY (key, block, correlation_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX delayed_correlation ON delayed (correlation_id);
CREATE INDEX delayed_key ON delayed (key) WHERE key <> correlation_id;
CREATE INDEX dead_letters_status ON dead_letters (status);

-- How many events of a type are in a block of the log, and the latest of their times. Block n has the 4096 numbers behind n * 4096.
-- The owner counts a block, once, when it is full. Nothing takes events out of a journal.
CREATE TABLE blocks (
	type   TEXT    NOT NULL,
	block  INTEGER NOT NULL,
	events INTEGER NOT NULL,
	latest INTEGER NOT NULL,
	PRIMARY KEY (type, block)
) STRICT, WITHOUT ROWID;

-- How many deliveries of a subscription have which outcome, up to the event upto, which no cursor has still to pass. Subscription 0
-- stands for the log: its blocks are counted up to there.
CREATE TABLE counted (
	subscription INTEGER PRIMARY KEY,
	upto         INTEGER NOT NULL,
	done         INTEGER NOT NULL DEFAULT 0,
	skipped      INTEGER NOT NULL DEFAULT 0,
	retrying     INTEGER NOT NULL DEFAULT 0,
	blocked      INTEGER NOT NULL DEFAULT 0,
	dead         INTEGER NOT NULL DEFAULT 0,
	dropped      INTEGER NOT NULL DEFAULT 0,
	retries      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What is counted stays right, whoever changes it. None of these costs a delivery that is recorded for the first time.
CREATE TRIGGER counted_changed AFTER UPDATE OF outcome, attempts ON deliveries
WHEN EXISTS (SELECT 1 FROM counted WHERE subscription = new.subscription AND upto >= new.seq)
BEGIN
	UPDATE counted SET
		done     = done     + (new.outcome = 'done')     - (old.outcome = 'done'),
		skipped  = skipped  + (new.outcome = 'skipped')  - (old.outcome = 'skipped'),
		retrying = retrying + (new.outcome = 'retrying') - (old.outcome = 'retrying'),
		blocked  = blocked  + (new.outcome = 'blocked')  - (old.outcome = 'blocked'),
		dead     = dead     + (new.outcome = 'dead')     - (old.outcome = 'dead'),
		dropped  = dropped  + (new.outcome = 'dropped')  - (old.outcome = 'dropped'),
		retries  = retries  + max(new.attempts - 1, 0)   - max(old.attempts - 1, 0)
	WHERE subscription = new.subscription;
END;

CREATE TRIGGER counted_deleted AFTER DELETE ON deliveries
WHEN EXISTS (SELECT 1 FROM counted WHERE subscription = old.subscription AND upto >= old.seq)
BEGIN
	DELETE FROM counted WHERE subscription = old.subscription;
END;

CREATE TRIGGER counted_back AFTER UPDATE OF cursor, retired_at ON subscriptions
WHEN new.cursor < old.cursor OR new.retired_at IS NULL AND old.retired_at IS NOT NULL
BEGIN
	DELETE FROM counted WHERE subscription = new.id AND upto > new.cursor;
END;

CREATE TRIGGER counted_gone AFTER DELETE ON subscriptions
BEGIN
	DELETE FROM counted WHERE subscription = old.id;
END;
