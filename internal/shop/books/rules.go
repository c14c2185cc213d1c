package books

import (
	"fmt"
	"slices"
	"strings"

	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/notification"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/payment"
	"github.com/troupebus/troupe/domain/shipping"
)

// standing is the status of an order, in the words of a report.
type standing string

const (
	open      standing = standing(order.StatusPlaced)
	completed standing = standing(order.StatusCompleted)
	cancelled standing = standing(order.StatusCancelled)
	returned  standing = standing(order.StatusReturned)
	credit    standing = "a credit note"
)

// expectation lists the allowed records of the other modules for an order. The empty value means no record.
type expectation struct {
	goods   []inventory.State
	payment []payment.Status
	parcel  []shipping.Status
	notice  []notification.Kind
}

// always has the records that are allowed at any instant. Modules handle events at different times, so always forbids
// only a record that must come before the order's status but is missing, and a record that cannot come with the
// status.
var always = map[standing]expectation{
	open: {
		goods: []inventory.State{"", inventory.StateShort, inventory.StateReserved, inventory.StateReleased, inventory.StateShipped},
		payment: []payment.Status{"", payment.StatusVoid, payment.StatusCharging, payment.StatusDeclined, payment.StatusCharged,
			payment.StatusRefunded},
		parcel: []shipping.Status{"", shipping.StatusStopped, shipping.StatusDispatching, shipping.StatusDispatched,
			shipping.StatusUndeliverable},
		notice: []notification.Kind{""},
	},
	completed: {
		goods:   []inventory.State{inventory.StateShipped, inventory.StateReserved},
		payment: []payment.Status{payment.StatusCharged},
		parcel:  []shipping.Status{shipping.StatusDispatched},
		notice:  []notification.Kind{notification.KindCompleted, ""},
	},
	cancelled: {
		goods:   []inventory.State{inventory.StateReleased, inventory.StateShort, inventory.StateReserved, ""},
		payment: []payment.Status{payment.StatusRefunded, payment.StatusDeclined, payment.StatusVoid, ""},
		parcel:  []shipping.Status{shipping.StatusUndeliverable, shipping.StatusStopped, ""},
		notice:  []notification.Kind{notification.KindCancelled, ""},
	},
	returned: {
		goods:   []inventory.State{inventory.StateReturned, inventory.StateShipped, inventory.StateReserved},
		payment: []payment.Status{payment.StatusRefunded, payment.StatusCharged},
		parcel:  []shipping.Status{shipping.StatusDispatched},
		notice:  []notification.Kind{notification.KindCompleted, ""},
	},
	credit: {
		goods:   []inventory.State{inventory.StateReturned, ""},
		payment: []payment.Status{payment.StatusRefunded, ""},
		parcel:  []shipping.Status{""},
		notice:  []notification.Kind{""},
	},
}

// finally is the part of always that remains when no event is left to handle.
var finally = map[standing]expectation{
	completed: {
		goods:   []inventory.State{inventory.StateShipped},
		payment: always[completed].payment,
		parcel:  always[completed].parcel,
		notice:  []notification.Kind{notification.KindCompleted},
	},
	cancelled: {
		goods:   []inventory.State{inventory.StateReleased, inventory.StateShort, ""},
		payment: always[cancelled].payment,
		parcel:  always[cancelled].parcel,
		notice:  []notification.Kind{notification.KindCancelled},
	},
	returned: {
		goods:   []inventory.State{inventory.StateReturned},
		payment: []payment.Status{payment.StatusRefunded},
		parcel:  always[returned].parcel,
		notice:  []notification.Kind{notification.KindCompleted},
	},
	credit: {
		goods:   []inventory.State{inventory.StateReturned},
		payment: []payment.Status{payment.StatusRefunded},
		parcel:  always[credit].parcel,
		notice:  always[credit].notice,
	},
}

// stands returns the standing of the order.
func (e *entry) stands() standing {
	if e.order.Credit {
		return credit
	}
	return standing(e.order.Status)
}

// problems returns the mistakes of an order.
func (e *entry) problems(settled bool) []string {
	if e.order.OrderID == "" {
		return []string{e.describe() + ", but there is no order"}
	}
	s := e.stands()
	var found []string
	expected := always[s]
	switch {
	case settled && s == open:
		found = append(found, "is still open: "+e.describe())
	case settled:
		expected = finally[s]
	}
	found = compare(found, s, "inventory", e.goods.State, expected.goods)
	found = compare(found, s, "payment", e.payment.Status, expected.payment)
	found = compare(found, s, "shipping", e.parcel.Status, expected.parcel)
	found = compare(found, s, "notification", e.notice.Kind, expected.notice)
	if s != credit {
		found = append(found, e.outOfTurn()...)
	}
	return append(found, e.money()...)
}

// compare adds a problem to found if may does not contain the record of a module.
func compare[S ~string](found []string, s standing, module string, has S, may []S) []string {
	if slices.Contains(may, has) {
		return found
	}
	words := make([]string, len(may))
	for i, m := range may {
		words[i] = word(m)
	}
	return append(found, fmt.Sprintf("is %s, but %s is %s; expected: %s", s, module, word(has), strings.Join(words, " or ")))
}

func word[S ~string](s S) string {
	if s == "" {
		return "missing"
	}
	return string(s)
}

// describe lists the records of the other modules.
func (e *entry) describe() string {
	return fmt.Sprintf("inventory is %s, payment is %s, shipping is %s, notification is %s",
		word(e.goods.State), word(e.payment.Status), word(e.parcel.Status), word(e.notice.Kind))
}

// outOfTurn returns the records that exist without the record before them. The rules hold at every instant and for
// every status.
func (e *entry) outOfTurn() []string {
	held := e.goods.State != "" && e.goods.State != inventory.StateShort
	paid := e.payment.Status == payment.StatusCharged || e.payment.Status == payment.StatusRefunded
	asked := paid || e.payment.Status == payment.StatusCharging || e.payment.Status == payment.StatusDeclined
	left := e.parcel.Status == shipping.StatusDispatched
	unpaid := e.payment.Status == payment.StatusDeclined || e.payment.Status == payment.StatusRefunded
	undeliverable := e.parcel.Status == shipping.StatusUndeliverable
	tried := left || e.parcel.Status == shipping.StatusDispatching || undeliverable
	var found []string
	for _, rule := range []struct {
		broken bool
		what   string
	}{
		{asked && !held, "the gateway was called, but no goods were reserved"},
		{tried && !paid, "the carrier was called, but the order was not charged"},
		{e.goods.State == inventory.StateReleased && left, "was dispatched, but the goods were released"},
		{e.goods.State == inventory.StateReleased && !unpaid,
			"the goods were released, but the payment was neither declined nor refunded"},
		{(e.goods.State == inventory.StateShipped || e.goods.State == inventory.StateReturned) && !left,
			"the goods left the stock, but no parcel was dispatched"},
		{e.payment.Status == payment.StatusRefunded && e.stands() != returned && !undeliverable,
			"was refunded, but is neither undeliverable nor returned"},
	} {
		if rule.broken {
			found = append(found, rule.what)
		}
	}
	return found
}

// money returns the mistakes in the amounts: an order is charged in full or not at all, and refunded in full or not
// at all.
func (e *entry) money() []string {
	charged, refunded := int64(0), int64(0)
	switch e.payment.Status {
	case payment.StatusCharged:
		charged = e.order.Total
	case payment.StatusRefunded:
		charged, refunded = e.order.Total, e.order.Total
	}
	if e.order.Credit {
		charged = 0
	}
	var found []string
	if e.payment.Charged != charged {
		found = append(found, fmt.Sprintf("%s was charged; expected: %s", money(e.payment.Charged), money(charged)))
	}
	if e.payment.Refunded != refunded {
		found = append(found, fmt.Sprintf("%s was refunded; expected: %s", money(e.payment.Refunded), money(refunded)))
	}
	return found
}
