package books

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// balanced is a shop in which one order stands in each way: of 10.00 for two pieces.
const balanced = `
INSERT INTO inventory_stock (sku, initial, on_hand, reserved, shipped, returned, received) VALUES ('a', 100, 99, 0, 4, 3, 1);

INSERT INTO order_orders (id, customer_id, status, total, lines, charges, credit) VALUES
	('done', 'c1', 'completed', 1000, '[]', '[]', 0),
	('short', 'c1', 'cancelled', 1000, '[]', '[]', 0),
	('declined', 'c1', 'cancelled', 1000, '[]', '[]', 0),
	('lost', '', 'cancelled', 1000, '[]', '[]', 0),
	('back', 'c1', 'returned', 1000, '[]', '[]', 0),
	('C1', 'c1', 'returned', 300, '[]', '[]', 1);
INSERT INTO inventory_reservations (order_id, state, credit) VALUES
	('done', 'shipped', 0), ('short', 'short', 0), ('declined', 'released', 0), ('lost', 'released', 0), ('back', 'returned', 0), ('C1', 'returned', 1);
INSERT INTO inventory_lines (order_id, sku, quantity) VALUES
	('done', 'a', 2), ('short', 'a', 999), ('declined', 'a', 2), ('lost', 'a', 2), ('back', 'a', 2), ('C1', 'a', 1);
INSERT INTO payment_payments (order_id, status, charged, refunded, credit) VALUES
	('done', 'charged', 1000, 0, 0), ('declined', 'declined', 0, 0, 0), ('lost', 'refunded', 1000, 1000, 0),
	('back', 'refunded', 1000, 1000, 0), ('C1', 'refunded', 0, 300, 1);
INSERT INTO shipping_parcels (order_id, status) VALUES ('done', 'dispatched'), ('lost', 'undeliverable'), ('back', 'dispatched');
INSERT INTO notification_notices (order_id, customer_id, kind, text) VALUES
	('done', 'c1', 'completed', ''), ('short', 'c1', 'cancelled', ''), ('declined', 'c1', 'cancelled', ''),
	('lost', '', 'cancelled', ''), ('back', 'c1', 'completed', '');`

// underway adds an open order of 5.00 for a piece, which is paid.
const underway = `
INSERT INTO order_orders (id, customer_id, status, total, lines, charges) VALUES ('open', 'c1', 'placed', 500, '[]', '[]');
INSERT INTO inventory_reservations (order_id, state) VALUES ('open', 'reserved');
INSERT INTO inventory_lines (order_id, sku, quantity) VALUES ('open', 'a', 1);
UPDATE inventory_stock SET on_hand = on_hand - 1, reserved = reserved + 1;
INSERT INTO payment_payments (order_id, status, charged) VALUES ('open', 'charged', 500);`

// MustTamper runs statements with the tables' own checks off.
func MustTamper(tb testing.TB, db *database, statements ...string) {
	tb.Helper()
	for _, s := range append([]string{"PRAGMA ignore_check_constraints = ON"}, statements...) {
		if _, err := db.ExecContext(tb.Context(), s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
}

func TestBalanced(t *testing.T) {
	t.Parallel()
	db := MustOpen(t)
	MustTamper(t, db, balanced)
	want := Report{OK: true, Wrong: []Problem{}, Orders: 6, Completed: 1, Cancelled: 3, Returned: 2, Charged: 3000, Refunded: 2300, Sold: 700}
	for _, settled := range []bool{true, false} {
		if got := db.MustVerify(t, settled); !reflect.DeepEqual(got, want) {
			t.Errorf("settled %v: %+v, want %+v", settled, got, want)
		}
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	r := MustOpen(t).MustVerify(t, true)
	text, err := json.Marshal(r)
	want := `{"ok":true,"wrong":[],"orders":0,"completed":0,"cancelled":0,"returned":0,"open":0,"charged_cents":0,"refunded_cents":0,"sold_cents":0}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
}

func TestOpenOrder(t *testing.T) {
	t.Parallel()
	db := MustOpen(t)
	MustTamper(t, db, balanced, underway)
	if r := db.MustVerify(t, false); !r.OK || r.Open != 1 || r.Orders != 7 || r.Charged != 3500 {
		t.Errorf("not settled: %+v", r)
	}
	want := []Problem{
		{OrderID: "open", What: "is still open: inventory is reserved, payment is charged, shipping is missing, notification is missing"},
		{What: "35.00 charged - 23.00 refunded = 12.00, but the sold orders are worth 7.00"},
	}
	if r := db.MustVerify(t, true); r.OK || !reflect.DeepEqual(r.Wrong, want) {
		t.Errorf("settled: %+v, want %+v", r.Wrong, want)
	}
}

// TestBreakages breaks one thing each, and wants to hear of it, about the right order.
func TestBreakages(t *testing.T) {
	t.Parallel()
	set := func(table, id, values string) string {
		return fmt.Sprintf("UPDATE %s SET %s WHERE order_id = '%s'", table, values, id)
	}
	drop := func(table, id string) string { return fmt.Sprintf("DELETE FROM %s WHERE order_id = '%s'", table, id) }
	const goods, money, parcels, notices = "inventory_reservations", "payment_payments", "shipping_parcels", "notification_notices"
	parcel := func(id, status string) string {
		return fmt.Sprintf("INSERT OR REPLACE INTO shipping_parcels (order_id, status) VALUES ('%s', '%s')", id, status)
	}
	notice := func(id, kind string) string {
		return fmt.Sprintf("INSERT INTO notification_notices (order_id, customer_id, kind, text) VALUES ('%s', '', '%s', '')", id, kind)
	}
	for _, tt := range []struct {
		tamper, order, want string
		always              bool // it is wrong at any instant, not only in the end
	}{
		{set(money, "done", "charged = 1001"), "done", "10.01 was charged; expected: 10.00", true},
		{set(money, "done", "charged = 0, status = 'declined'"), "done", "is completed, but payment is declined; expected: charged", true},
		{set(money, "done", "refunded = 1000, status = 'refunded'"), "done", "is completed, but payment is refunded; expected: charged", true},
		{set(money, "done", "refunded = 1"), "done", "0.01 was refunded; expected: 0.00", true},
		{drop(money, "done"), "done", "is completed, but payment is missing; expected: charged", true},
		{drop(parcels, "done"), "done", "is completed, but shipping is missing; expected: dispatched", true},
		{drop(parcels, "done"), "done", "the goods left the stock, but no parcel was dispatched", true},
		{set(goods, "done", "state = 'reserved'"), "done", "is completed, but inventory is reserved; expected: shipped", false},
		{set(goods, "done", "state = 'released'"), "done", "was dispatched, but the goods were released", true},
		{set(goods, "done", "state = 'released'"), "done", "the goods were released, but the payment was neither declined nor refunded", true},
		{drop(goods, "done"), "done", "the gateway was called, but no goods were reserved", true},
		{drop(notices, "done"), "done", "is completed, but notification is missing; expected: completed", false},
		{set(notices, "done", "kind = 'cancelled'"), "done", "is completed, but notification is cancelled; expected: completed", true},

		{set(money, "declined", "status = 'charged', charged = 1000"), "declined", "is cancelled, but payment is charged", true},
		{set(money, "declined", "status = 'charging'"), "declined", "is cancelled, but payment is charging", true},
		{set(money, "lost", "refunded = 999"), "lost", "9.99 was refunded; expected: 10.00", true},
		{parcel("lost", "dispatched"), "lost", "is cancelled, but shipping is dispatched", true},
		{parcel("lost", "dispatching"), "lost", "is cancelled, but shipping is dispatching", true},
		{parcel("declined", "undeliverable"), "declined", "the carrier was called, but the order was not charged", true},
		{parcel("lost", "stopped"), "lost", "was refunded, but is neither undeliverable nor returned", true},
		{set(goods, "lost", "state = 'reserved'"), "lost", "is cancelled, but inventory is reserved; expected: released or short or missing", false},
		{set(goods, "lost", "state = 'shipped'"), "lost", "is cancelled, but inventory is shipped", true},
		{drop(notices, "short"), "short", "is cancelled, but notification is missing; expected: cancelled", false},

		{set(money, "back", "refunded = 0, status = 'charged'"), "back", "is returned, but payment is charged; expected: refunded", false},
		{set(goods, "back", "state = 'shipped'"), "back", "is returned, but inventory is shipped; expected: returned", false},
		{drop(parcels, "back"), "back", "is returned, but shipping is missing", true},
		{drop(notices, "back"), "back", "is returned, but notification is missing; expected: completed", false},

		{set(money, "C1", "refunded = 299"), "C1", "2.99 was refunded; expected: 3.00", true},
		{set(money, "C1", "charged = 300"), "C1", "3.00 was charged; expected: 0.00", true},
		{drop(money, "C1"), "C1", "is a credit note, but payment is missing; expected: refunded", false},
		{drop(goods, "C1"), "C1", "is a credit note, but inventory is missing; expected: returned", false},
		{parcel("C1", "dispatched"), "C1", "is a credit note, but shipping is dispatched; expected: missing", true},
		{notice("C1", "completed"), "C1", "is a credit note, but notification is completed; expected: missing", true},

		{set(money, "open", "charged = 1000"), "open", "10.00 was charged; expected: 5.00", true},
		{drop(goods, "open"), "open", "the gateway was called, but no goods were reserved", true},
		{drop(money, "open") + ";" + parcel("open", "dispatching"), "open", "the carrier was called, but the order was not charged", true},
		{set(goods, "open", "state = 'shipped'"), "open", "the goods left the stock, but no parcel was dispatched", true},
		{set(goods, "open", "state = 'returned'"), "open", "is placed, but inventory is returned", true},
		{set(money, "open", "status = 'refunded', refunded = 500"), "open", "was refunded, but is neither undeliverable nor returned", true},
		{notice("open", "completed"), "open", "is placed, but notification is completed; expected: missing", true},

		{parcel("ghost", "dispatched"), "ghost", "inventory is missing, payment is missing, shipping is dispatched, notification is missing, but there is no order", true},
		{"UPDATE inventory_stock SET on_hand = on_hand - 1", "", "97 on hand + 1 reserved + 4 shipped - 3 returned is not the initial 100", true},
	} {
		t.Run(tt.tamper, func(t *testing.T) {
			t.Parallel()
			db := MustOpen(t)
			MustTamper(t, db, balanced, underway, tt.tamper)
			for _, settled := range []bool{false, true} {
				r := db.MustVerify(t, settled)
				if want := settled || tt.always; names(r, tt.order, tt.want) != want || want && r.OK {
					t.Errorf("settled %v: ok %v, %q; %q of %q: %v", settled, r.OK, r.Wrong, tt.want, tt.order, want)
				}
			}
		})
	}
}

// names reports whether r has a problem that begins with what, of an order or, where that is empty, of an article.
func names(r Report, orderID, what string) bool {
	for _, p := range r.Wrong {
		if p.OrderID == orderID && strings.HasPrefix(p.What, what) && (orderID != "" || p.SKU == "a") {
			return true
		}
	}
	return false
}
