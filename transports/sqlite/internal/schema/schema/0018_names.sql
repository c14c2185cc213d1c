-- A subscription may get another name, and may begin again.

-- The earlier names, the oldest first. The oldest name stays in the keys under which the outside knows the deliveries.
ALTER TABLE subscriptions ADD COLUMN was TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(was));

-- The number with which a program asks for a run from the start; 0 for none.
ALTER TABLE subscriptions ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
-- How often the subscription has begun again.
ALTER TABLE subscriptions ADD COLUMN rebuilds INTEGER NOT NULL DEFAULT 0;
-- The subscription whose former run the row keeps; '' for a subscription that is no former run.
ALTER TABLE subscriptions ADD COLUMN run_of TEXT NOT NULL DEFAULT '';

-- Who retired the subscription, and why; '' when a start did, because nothing was open.
ALTER TABLE subscriptions ADD COLUMN retired_by TEXT NOT NULL DEFAULT '';
ALTER TABLE subscriptions ADD COLUMN retired_why TEXT NOT NULL DEFAULT '';
