-- What people did goes along with the records, and observers know what is still to come.

CREATE INDEX acts_of_dead_letters ON acts (dead_letter);

-- Observers that have been told already hear once more of what was dead, now with what people did with it, and of what is open for
-- a subscription that is retired.
INSERT INTO records (seq, subscription)
SELECT seq, subscription FROM (
	SELECT seq, subscription FROM dead_letters
	UNION SELECT p.seq, p.subscription FROM pending p JOIN subscriptions s ON s.id = p.subscription WHERE s.retired_at IS NOT NULL)
WHERE EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = 'records_new') ORDER BY seq;

-- An observer keeps the acts that it is told of. That nobody acts on its own journal is seen to by who would write the act.
DROP TRIGGER observer_decides_nothing;
