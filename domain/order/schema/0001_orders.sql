-- One row per order, and per credit note. lines and charges are the JSON of the contract: nobody asks for one of them
-- alone. reason says why the order is to be, or was, cancelled or returned.
CREATE TABLE order_orders (
	id               TEXT    PRIMARY KEY CHECK (id <> ''),
	customer_id      TEXT    NOT NULL,
	status           TEXT    NOT NULL CHECK (status IN ('placed', 'completed', 'cancelled', 'returned')),
	total            INTEGER NOT NULL CHECK (total >= 0),
	lines            TEXT    NOT NULL CHECK (json_type(lines) = 'array'),
	charges          TEXT    NOT NULL CHECK (json_type(charges) = 'array'),
	cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
	credit           INTEGER NOT NULL DEFAULT 0 CHECK (credit IN (0, 1)),
	reason           TEXT    NOT NULL DEFAULT '',
	CHECK (status <> 'completed' OR cancel_requested = 0), -- too late to be cancelled, it is returned
	CHECK (credit = 0 OR status = 'returned' AND cancel_requested = 0)
) STRICT, WITHOUT ROWID;

-- The idempotency keys under which orders were asked for.
CREATE TABLE order_keys (
	key       TEXT PRIMARY KEY CHECK (key <> ''),
	body_hash TEXT NOT NULL,
	order_id  TEXT NOT NULL CHECK (order_id <> '')
) STRICT, WITHOUT ROWID;
