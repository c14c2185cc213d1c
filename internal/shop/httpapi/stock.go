package httpapi

import (
	"net/http"
	"net/url"

	"github.com/troupebus/troupe/domain/inventory"
	"github.com/troupebus/troupe/domain/order"
	"github.com/troupebus/troupe/handlers"
)

// stockView is the stock of an article as clients see the stock, in pieces.
type stockView struct {
	SKU      string `json:"sku"`
	Initial  int64  `json:"initial"`
	OnHand   int64  `json:"on_hand"`
	Reserved int64  `json:"reserved"`
	Shipped  int64  `json:"shipped"`
	Returned int64  `json:"returned"`
}

func viewStock(s inventory.Stock) stockView {
	return stockView{s.SKU, s.Initial, s.OnHand, s.Reserved, s.Shipped, s.Returned}
}

func (a *API) getStock(w http.ResponseWriter, r *http.Request) error {
	s, err := a.cfg.Stock.Get(r.Context(), r.PathValue("sku"))
	if err != nil {
		return err
	}
	return a.reply(w, r, http.StatusOK, viewStock(s))
}

// putStock adds the first delivery of an article. A repeated request changes no stock, even with another quantity:
// the shop could not distinguish sold pieces from a wrong count.
func (a *API) putStock(w http.ResponseWriter, r *http.Request) error {
	quantity, err := readBody(a, w, r, decodeQuantity)
	if err != nil {
		return err
	}
	sku := r.PathValue("sku")
	if err := checkSKU(sku); err != nil {
		return err
	}
	fresh, err := a.cfg.Stock.Receive(r.Context(), []handlers.Delivery{{SKU: sku, Quantity: quantity}})
	if err != nil {
		return err
	}
	s, err := a.cfg.Stock.Get(r.Context(), sku)
	if err != nil {
		return err
	}
	if fresh == 0 {
		return a.reply(w, r, http.StatusOK, viewStock(s))
	}
	w.Header().Set("Location", "/api/stock/"+url.PathEscape(sku))
	return a.reply(w, r, http.StatusCreated, viewStock(s))
}

func decodeQuantity(body []byte) (int64, error) {
	value, err := parse(body)
	if err != nil {
		return 0, err
	}
	var f form
	var quantity int64
	if m := f.members("", value, "quantity"); m != nil {
		quantity = f.whole("/quantity", m["quantity"], 0, inventory.MaxDelivery)
	}
	return quantity, f.err()
}

// checkSKU applies the rules for the sku of an order line to the sku in a path: an article with any other sku could
// not be sold.
func checkSKU(sku string) error {
	if detail := order.BadName(sku, order.MaxName); detail != "" {
		return invalid([]fault{{Parameter: "sku", Detail: detail}})
	}
	return nil
}
