package httpapi

import (
	"encoding/json"
	"fmt"

	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/domain/order/orderevents"
)

// maxReason is the maximal length of a reason, in characters.
const maxReason = 500

// decodeOrder reads the body of a new order, without an id. The listed faults are those of single fields; the order
// module checks the order as a whole.
func decodeOrder(body []byte) (order.New, error) {
	value, err := parse(body)
	if err != nil {
		return order.New{}, err
	}
	var f form
	m := f.members("", value, "customer_id", "lines", "charges")
	n := order.New{CustomerID: f.name("/customer_id", m["customer_id"], order.MaxPerson)}
	for i, raw := range f.list("/lines", m["lines"], order.MaxLines) {
		n.Lines = append(n.Lines, f.line(fmt.Sprintf("/lines/%d", i), raw))
	}
	for i, raw := range f.list("/charges", m["charges"], order.MaxLines) {
		n.Charges = append(n.Charges, f.charge(fmt.Sprintf("/charges/%d", i), raw))
	}
	if m != nil && m["lines"] == nil && m["charges"] == nil {
		f.note("/lines", "is required, unless there are charges")
	}
	if err := f.err(); err != nil {
		return order.New{}, err
	}
	return n, nil
}

func (f *form) line(at string, raw json.RawMessage) orderevents.Line {
	m := f.members(at, raw, "sku", "quantity", "unit_price_cents")
	if m == nil {
		return orderevents.Line{}
	}
	return orderevents.Line{
		SKU:       f.needed(at+"/sku", m["sku"], f.name, order.MaxName),
		Quantity:  f.whole(at+"/quantity", m["quantity"], 1, order.MaxQuantity),
		UnitPrice: f.whole(at+"/unit_price_cents", m["unit_price_cents"], 0, order.MaxTotal),
	}
}

func (f *form) charge(at string, raw json.RawMessage) orderevents.Charge {
	m := f.members(at, raw, "code", "amount_cents")
	if m == nil {
		return orderevents.Charge{}
	}
	return orderevents.Charge{
		Code:   f.needed(at+"/code", m["code"], f.name, order.MaxName),
		Amount: f.whole(at+"/amount_cents", m["amount_cents"], -order.MaxTotal, order.MaxTotal),
	}
}

// decodeReason reads the body of a request to cancel or return.
func decodeReason(body []byte) (string, error) {
	value, err := parse(body)
	if err != nil {
		return "", err
	}
	var f form
	var reason string
	if m := f.members("", value, "reason"); m != nil {
		reason = f.needed("/reason", m["reason"], f.text, maxReason)
	}
	return reason, f.err()
}
