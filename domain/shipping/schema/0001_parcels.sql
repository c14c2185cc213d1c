-- The parcel of one order. 'stopped' and 'dispatching' keep a cancel and a dispatch apart: whichever is written first
-- holds.
CREATE TABLE shipping_parcels (
	order_id TEXT PRIMARY KEY CHECK (order_id <> ''),
	status   TEXT NOT NULL CHECK (status IN ('stopped', 'dispatching', 'dispatched', 'undeliverable')),
	tracking TEXT NOT NULL DEFAULT '',
	reason   TEXT NOT NULL DEFAULT '', -- why it is undeliverable
	CHECK (tracking = '' OR status = 'dispatched')
) STRICT, WITHOUT ROWID;
