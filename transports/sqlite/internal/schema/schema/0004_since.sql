-- When a subscription became known that wants only what comes after that; 0 for all others. The place at which it starts in the log
-- does not say: what comes in over a transport may be older than what was here before.
ALTER TABLE subscriptions ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
