-- The money of one order or credit note, in cents. 'void' and 'charging' keep a cancel and a charge apart: whichever is
-- written first holds.
CREATE TABLE payment_payments (
	order_id         TEXT    PRIMARY KEY CHECK (order_id <> ''),
	status           TEXT    NOT NULL CHECK (status IN ('void', 'charging', 'charged', 'declined', 'refunded')),
	charged          INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0),
	charge_reference TEXT    NOT NULL DEFAULT '',
	refunded         INTEGER NOT NULL DEFAULT 0 CHECK (refunded >= 0),
	refund_reference TEXT    NOT NULL DEFAULT '',
	credit           INTEGER NOT NULL DEFAULT 0 CHECK (credit IN (0, 1)),
	reason           TEXT    NOT NULL DEFAULT '', -- of the refusal, or of the refund
	CHECK (charged = 0 OR status IN ('charged', 'refunded')),
	CHECK (refunded = 0 OR status = 'refunded'),
	CHECK (credit = 0 AND (status <> 'refunded' OR refunded = charged) OR credit = 1 AND status = 'refunded' AND charged = 0)
) STRICT, WITHOUT ROWID;
