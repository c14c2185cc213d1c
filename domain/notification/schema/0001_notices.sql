-- What customers were told: one notice per order.
CREATE TABLE notification_notices (
	order_id    TEXT PRIMARY KEY CHECK (order_id <> ''),
	customer_id TEXT NOT NULL,
	kind        TEXT NOT NULL CHECK (kind IN ('completed', 'cancelled')),
	text        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
