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

// standing is where an order stands, in the words of a report.
type standing string

const (
	open      standing = standing(order.StatusPlaced)
	completed standing = standing(order.StatusCompleted)
	cancelled standing = standing(order.StatusCancelled)
	returned  standing = standing(order.StatusReturned)
	credit    standing = "a credit note"
)

// expectation lists what the other modules may have on record for an order. The empty value is nothing at all.
type expectation struct {
	goods   []inventory.State
	payment []payment.Status
	parcel  []shipping.Status
	notice  []notification.Kind
}

// always is what may be on record at any instant. The modules hear of things at different times, so it leaves out only what
// must have come before the order could stand where it does, and what cannot come after.
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

// finally is what is left of always when nobody has anything to react to any more.
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

// stands says where the order stands.
func (e *entry) stands() standing {
	if e.order.Credit {
		return credit
	}
	return standing(e.order.Status)
}

// problems returns what is wrong with one order.
func (e *entry) problems(settled bool) []string {
	if e.order.OrderID == "" {
		return []string{e.describe() + ", but there is no such order"}
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

// compare adds to found what a module has on record and may not have.
func compare[S ~string](found []string, s standing, module string, has S, may []S) []string {
	if slices.Contains(may, has) {
		return found
	}
	words := make([]string, len(may))
	for i, m := range may {
		words[i] = word(m)
	}
	return append(found, fmt.Sprintf("is %s, but %s has it as %s; expected: %s", s, module, word(has), strings.Join(words, " or ")))
}

func word[S ~string](s S) string {
	if s == "" {
		return "not on record"
	}
	return string(s)
}

// describe lists what the other modules have on record.
func (e *entry) describe() string {
	return fmt.Sprintf("inventory has it as %s, payment as %s, shipping as %s, notification as %s",
		word(e.goods.State), word(e.payment.Status), word(e.parcel.Status), word(e.notice.Kind))
}

// outOfTurn returns what stands on record without what must have come before it. It holds at every instant, wherever the
// order stands.
func (e *entry) outOfTurn() []string {
	held := e.goods.State != "" && e.goods.State != inventory.StateShort
	paid := e.payment.Status == payment.StatusCharged || e.payment.Status == payment.StatusRefunded
	asked := paid || e.payment.Status == payment.StatusCharging || e.payment.Status == payment.StatusDeclined
	left := e.parcel.Status == shipping.StatusDispatched
	tried := left || e.parcel.Status == shipping.StatusDispatching || e.parcel.Status == shipping.StatusUndeliverable
	var found []string
	for _, rule := range []struct {
		broken bool
		what   string
	}{
		{asked && !held, "payment was asked for, but no goods were set aside"},
		{tried && !paid, "the carrier was asked, but nothing was charged"},
		{e.goods.State == inventory.StateReleased && left, "was dispatched, but its goods are back on the shelf"},
		{e.goods.State == inventory.StateReleased && e.payment.Status != payment.StatusDeclined && e.payment.Status != payment.StatusRefunded,
			"its goods were released, but the payment was neither declined nor refunded"},
		{(e.goods.State == inventory.StateShipped || e.goods.State == inventory.StateReturned) && !left,
			"its goods left the stock, but nothing was dispatched"},
		{e.payment.Status == payment.StatusRefunded && e.stands() != returned && e.parcel.Status != shipping.StatusUndeliverable,
			"was refunded, but it is neither undeliverable nor returned"},
	} {
		if rule.broken {
			found = append(found, rule.what)
		}
	}
	return found
}

// money returns what is wrong with the amounts: an order is charged in full or not at all, and so refunded.
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
