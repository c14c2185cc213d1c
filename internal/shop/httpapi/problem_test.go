package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/troupebus/troupe/domain/order"
)

func TestProblems(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	line := func(members string) string { return `{"lines": [{` + members + `}]}` }
	many := `{"lines": [` + strings.TrimSuffix(strings.Repeat(`{},`, order.MaxLines+1), ",") + `]}`
	const fine = `"sku": "TEA", "quantity": 1, "unit_price_cents": 1`
	tests := []struct {
		name, method, path, body string
		header                   http.Header
		status                   int
		kind                     string // of type; "" is about:blank
		faults                   []string
	}{
		{"unknown path", "GET", "/api/nothing", "", nil, 404, "", nil},
		{"root", "GET", "/", "", nil, 404, "", nil},
		{"unclean path of nothing", "GET", "//x", "", nil, 404, "", nil},
		{"wrong method", "DELETE", "/api/orders", "", nil, 405, "", nil},
		{"no content type", "POST", "/api/orders", oneTea, http.Header{"Content-Type": nil}, 415, "", nil},
		{"wrong content type", "POST", "/api/orders", oneTea, http.Header{"Content-Type": {"text/plain"}}, 415, "", nil},
		{"wrong charset", "POST", "/api/orders", oneTea, http.Header{"Content-Type": {"application/json; charset=latin1"}}, 415, "", nil},
		{"too large", "POST", "/api/orders", `{"customer_id": "` + strings.Repeat("x", maxBody) + `"}`, nil, 413, "too-large", nil},
		{"larger than an event", "POST", "/api/orders", hugeOrder(), nil, 413, "too-large", nil},
		{"empty body", "POST", "/api/orders", "", http.Header{"Content-Type": {"application/json"}}, 400, "malformed", nil},
		{"no JSON", "POST", "/api/orders", `{"lines": [}`, nil, 400, "malformed", nil},
		{"trailing data", "POST", "/api/orders", oneTea + ` {}`, nil, 400, "malformed", nil},
		{"not UTF-8", "POST", "/api/orders", "{\"customer_id\": \"\xff\"}", nil, 400, "malformed", nil},
		{"two keys", "POST", "/api/orders", oneTea, http.Header{keyHeader: {"a", "b"}}, 400, "malformed", []string{keyHeader}},
		{"empty key", "POST", "/api/orders", oneTea, http.Header{keyHeader: {""}}, 400, "malformed", []string{keyHeader}},
		{"long key", "POST", "/api/orders", oneTea, http.Header{keyHeader: {strings.Repeat("k", 256)}}, 400, "malformed", []string{keyHeader}},
		{"no object", "POST", "/api/orders", `[]`, nil, 422, "invalid", []string{"#"}},
		{"null", "POST", "/api/orders", `null`, nil, 422, "invalid", []string{"#"}},
		{"nothing ordered", "POST", "/api/orders", `{}`, nil, 422, "invalid", []string{"#/lines"}},
		{"nothing in the lists", "POST", "/api/orders", `{"lines": [], "charges": []}`, nil, 422, "invalid", []string{"#"}},
		{"unknown fields", "POST", "/api/orders", `{"lines": [{` + fine + `, "a/b~ \"": 1}], "Customer_ID": "x"}`, nil, 422, "invalid",
			[]string{"#/Customer_ID", "#/lines/0/a~1b~0%20%22"}},
		{"everything at once", "POST", "/api/orders",
			`{"customer_id": 7, "lines": [{"sku": "", "quantity": 0, "unit_price_cents": -1}, 5, {"sku": "a\u0000b", "quantity": 1.5, "unit_price_cents": "1"}], "charges": [{"amount_cents": null}]}`,
			nil, 422, "invalid", []string{"#/customer_id", "#/lines/0/sku", "#/lines/0/quantity", "#/lines/0/unit_price_cents", "#/lines/1",
				"#/lines/2/sku", "#/lines/2/quantity", "#/lines/2/unit_price_cents", "#/charges/0/code", "#/charges/0/amount_cents"}},
		{"long texts", "POST", "/api/orders", `{"customer_id": "` + strings.Repeat("ä", order.MaxPerson+1) + `", "charges": {}, "lines": [{"sku": "` +
			strings.Repeat("x", order.MaxName+1) + `", "quantity": 1, "unit_price_cents": 1}]}`, nil, 422, "invalid", []string{"#/customer_id", "#/lines/0/sku", "#/charges"}},
		{"missing members", "POST", "/api/orders", line(""), nil, 422, "invalid", []string{"#/lines/0/sku", "#/lines/0/quantity", "#/lines/0/unit_price_cents"}},
		{"too many lines", "POST", "/api/orders", many, nil, 422, "invalid", []string{"#/lines"}},
		{"total below zero", "POST", "/api/orders", `{"charges": [{"code": "D", "amount_cents": -5}]}`, nil, 422, "invalid", []string{"#"}},
		{"total too large", "POST", "/api/orders", line(`"sku": "TEA", "quantity": 1000000, "unit_price_cents": 1000001`), nil, 422, "invalid", []string{"#"}},
		{"amounts too large", "POST", "/api/orders", `{"lines": [{"sku": "TEA", "quantity": 1, "unit_price_cents": 1000000000001}], "charges": [{"code": "D", "amount_cents": -1000000000001}]}`,
			nil, 422, "invalid", []string{"#/lines/0/unit_price_cents", "#/charges/0/amount_cents"}},
		{"invisible characters", "POST", "/api/orders", `{"customer_id": "a\u202eb", "lines": [{"sku": "T\u200bEA", "quantity": 1, "unit_price_cents": 1}]}`, nil, 422, "invalid",
			[]string{"#/customer_id", "#/lines/0/sku"}},
		{"a member twice", "POST", "/api/orders", `{"lines": [], "lines": []}`, nil, 400, "malformed", nil},
		{"half a surrogate pair", "POST", "/api/orders", `{"customer_id": "\ud800"}`, nil, 400, "malformed", nil},
		{"a key with a space", "POST", "/api/orders", oneTea, http.Header{keyHeader: {"a b"}}, 400, "malformed", []string{keyHeader}},
		{"a key that is no ASCII", "POST", "/api/orders", oneTea, http.Header{keyHeader: {"\xc3\xa4"}}, 400, "malformed", []string{keyHeader}},
		{"many unknown members", "POST", "/api/orders", `{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "lines": 7}`, nil, 422, "invalid",
			[]string{"#/a", "#/b", "#/c", "#/d", "#/e", "#"}},
		{"article with an invisible character", "PUT", "/api/stock/a%E2%80%AEb", `{"quantity": 1}`, nil, 422, "invalid", []string{"sku"}},
		{"no reason", "POST", "/api/orders/x/cancel", `{}`, nil, 422, "invalid", []string{"#/reason"}},
		{"long reason", "POST", "/api/orders/x/return", `{"reason": "` + strings.Repeat("x", maxReason+1) + `"}`, nil, 422, "invalid", []string{"#/reason"}},
		{"cancel of nothing", "POST", "/api/orders/x/cancel", `{"reason": "r"}`, nil, 404, "order-not-found", nil},
		{"return of nothing", "POST", "/api/orders/x/return", `{"reason": "r"}`, nil, 404, "order-not-found", nil},
		{"no order", "GET", "/api/orders/x", "", nil, 404, "order-not-found", nil},
		{"no order to wait for", "GET", "/api/orders/x?wait=10s", "", nil, 404, "order-not-found", nil},
		{"no flow", "GET", "/api/orders/x/events", "", nil, 404, "order-not-found", nil},
		{"unreadable place in a flow", "GET", "/api/orders/x/events", "", http.Header{"Last-Event-Id": {"-1"}}, 400, "malformed", []string{"Last-Event-ID"}},
		{"endless wait", "GET", "/api/orders/x?wait=61s", "", nil, 400, "malformed", []string{"wait"}},
		{"backward wait", "GET", "/api/orders/x?wait=-1s", "", nil, 400, "malformed", []string{"wait"}},
		{"unreadable wait", "GET", "/api/orders/x?wait=5", "", nil, 400, "malformed", []string{"wait"}},
		{"no article", "GET", "/api/stock/NONE", "", nil, 404, "sku-not-found", nil},
		{"less than none", "PUT", "/api/stock/TEA", `{"quantity": -1}`, nil, 422, "invalid", []string{"#/quantity"}},
		{"article of no use", "PUT", "/api/stock/a%00b", `{"quantity": 1}`, nil, 422, "invalid", []string{"sku"}},
		{"article that is no text", "PUT", "/api/stock/%ff", `{"quantity": 1}`, nil, 422, "invalid", []string{"sku"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := s.MustRequest(t, tt.method, tt.path, tt.body)
			for name, values := range tt.header {
				r.Header[name] = values
			}
			answer := s.do(t, r)
			p := MustProblem(t, answer)
			if answer.StatusCode != tt.status || p.Status != tt.status {
				t.Errorf("status %d, in the body %d, want %d: %+v", answer.StatusCode, p.Status, tt.status, p)
			}
			if want := kindOf(tt.kind); p.Type != want || p.Title == "" || p.Detail == "" || p.Instance != r.URL.EscapedPath() {
				t.Errorf("problem %+v, want type %s at %s", p, want, r.URL.EscapedPath())
			}
			if got := places(p); !slices.Equal(got, tt.faults) {
				t.Errorf("faults at %q, want %q: %+v", got, tt.faults, p.Errors)
			}
		})
	}
}

func kindOf(name string) string {
	if name == "" {
		return "about:blank"
	}
	return typed(name)
}

// hugeOrder is within the limits of a body and beyond those of an event.
func hugeOrder() string {
	sku := strings.Repeat("<", order.MaxName)
	line := `{"sku":"` + sku + `","quantity":1,"unit_price_cents":1},`
	charge := `{"code":"` + sku + `","amount_cents":1},`
	return `{"lines":[` + strings.TrimSuffix(strings.Repeat(line, order.MaxLines), ",") + `],"charges":[` +
		strings.TrimSuffix(strings.Repeat(charge, order.MaxLines), ",") + `]}`
}

// MustProblem reads a problem from an answer.
func MustProblem(tb testing.TB, answer *http.Response) problem {
	tb.Helper()
	if got := answer.Header.Get("Content-Type"); got != "application/problem+json" {
		tb.Errorf("content type %q", got)
	}
	return MustDecode[problem](tb, MustRead(tb, answer))
}

func places(p problem) []string {
	var at []string
	for _, f := range p.Errors {
		at = append(at, f.Pointer+f.Parameter+f.Header)
		if f.Detail == "" {
			at = append(at, "no detail")
		}
	}
	return at
}

func TestAllowNamesTheMethods(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	for path, want := range map[string]string{"/api/orders": "POST", "/api/stock/x": "GET, HEAD, PUT", "/api/orders/x": "GET, HEAD"} {
		answer := s.do(t, s.MustRequest(t, "PATCH", path, ""))
		if got := answer.Header.Get("Allow"); got != want || answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s, allow %q, want %q", path, answer.Status, got, want)
		}
	}
}

func TestKeyReusedForAnotherOrder(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	for i, want := range []int{http.StatusAccepted, http.StatusUnprocessableEntity} {
		r := s.MustRequest(t, "POST", "/api/orders", fmt.Sprintf(`{"charges": [{"code": "POST", "amount_cents": %d}]}`, i))
		r.Header.Set(keyHeader, "key-1")
		answer := s.do(t, r)
		if answer.StatusCode != want {
			t.Fatalf("request %d: %s, want %d", i, answer.Status, want)
		}
		if i == 1 {
			if p := MustProblem(t, answer); p.Type != typed("key-reused") || !slices.Equal(places(p), []string{keyHeader}) {
				t.Errorf("problem %+v", p)
			}
		}
	}
}

func TestFaultsOfABodyAreLimited(t *testing.T) {
	t.Parallel()
	_, err := decodeOrder([]byte(`{"lines": [` + strings.TrimSuffix(strings.Repeat(`{},`, 200), ",") + `]}`))
	p := asProblem(err)
	if len(p.Errors) != maxFaults+1 || p.Errors[maxFaults].Detail != "500 more problems are not listed" {
		t.Errorf("%d faults, the last is %+v", len(p.Errors), p.Errors[len(p.Errors)-1])
	}
}
