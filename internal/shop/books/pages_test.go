package books

import (
	"database/sql"
	"fmt"
	"reflect"
	"testing"

	"github.com/troupebus/troupe/bus"
)

// In pages of any size, as at one instant: the same report.
func TestVerifyInPages(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string][]string{
		"nothing": nil, "balanced": {balanced}, "underway": {balanced, underway},
		"wrong": {balanced, "UPDATE payment_payments SET charged = 5 WHERE order_id = 'done'", "UPDATE inventory_stock SET shipped = 9",
			"INSERT INTO shipping_parcels (order_id, status) VALUES ('zzz', 'dispatched'), ('A', 'dispatched')"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := MustOpen(t)
			MustTamper(t, db, changes...)
			for _, settled := range []bool{true, false} {
				want := db.MustVerify(t, settled)
				for _, size := range []int{1, 2, 3, 6, 7, pageOrders} {
					views, told := 0, []int{}
					got, was, err := verifyInPages(t.Context(), func(fn func(bus.SQL, bool) error) error {
						views++
						return db.do(t.Context(), "", func(tx *sql.Tx) error { return fn(tx, settled) })
					}, size, func(done, of int) { told = append(told, done, of) })
					if err != nil || was != settled || !reflect.DeepEqual(got, want) {
						t.Errorf("settled %t, in pages of %d: %+v, %t, %v, want %+v", settled, size, got, was, err, want)
					}
					if told[0] != 0 || told[len(told)-1] != want.Orders || told[len(told)-2] > want.Orders {
						t.Errorf("in pages of %d, the progress is %v, of %d orders", size, told, want.Orders)
					}
					if orders := want.Orders; size == 1 && views < orders {
						t.Errorf("%d orders in %d transactions", orders, views)
					}
				}
			}
		})
	}
	_, _, err := VerifyInPages(t.Context(), func(func(bus.SQL, bool) error) error { return fmt.Errorf("no") }, func(int, int) {})
	if err == nil {
		t.Error("an error is lost")
	}
}
