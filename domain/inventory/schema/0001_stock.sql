-- What there is of each article. received is 0 while only credit notes have brought some: its first delivery is still
-- to come.
CREATE TABLE inventory_stock (
	sku      TEXT    PRIMARY KEY CHECK (sku <> ''),
	initial  INTEGER NOT NULL CHECK (initial >= 0),
	on_hand  INTEGER NOT NULL CHECK (on_hand >= 0),
	reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
	shipped  INTEGER NOT NULL DEFAULT 0 CHECK (shipped >= 0),
	returned INTEGER NOT NULL DEFAULT 0 CHECK (returned >= 0),
	received INTEGER NOT NULL CHECK (received IN (0, 1)),
	CHECK (received = 1 OR initial = 0),
	CHECK (on_hand + reserved + shipped - returned = initial)
) STRICT, WITHOUT ROWID;

-- What became of the goods of an order, or of a credit note.
CREATE TABLE inventory_reservations (
	order_id TEXT    PRIMARY KEY CHECK (order_id <> ''),
	state    TEXT    NOT NULL CHECK (state IN ('short', 'reserved', 'released', 'shipped', 'returned')),
	credit   INTEGER NOT NULL DEFAULT 0 CHECK (credit IN (0, 1)),
	CHECK (credit = 0 OR state = 'returned')
) STRICT, WITHOUT ROWID;

-- The goods themselves. Lines of one article are one row, so that one UPDATE moves a whole order.
CREATE TABLE inventory_lines (
	order_id TEXT    NOT NULL,
	sku      TEXT    NOT NULL CHECK (sku <> ''),
	quantity INTEGER NOT NULL CHECK (quantity > 0),
	PRIMARY KEY (order_id, sku)
) STRICT, WITHOUT ROWID;
