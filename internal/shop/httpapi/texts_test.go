package httpapi

import (
	"net/http"
	"testing"
)

// Clients and their logs show these texts to people.
func TestTextsOfProblems(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	for _, tt := range []struct {
		method, path, body string
		keys               []string // values of Idempotency-Key
		detail, fault      string
	}{
		{"POST", "/api/orders", oneTea, []string{"a", "b"}, "send one Idempotency-Key", "sent 2 times"},
		{"POST", "/api/orders", oneTea, []string{""}, "the Idempotency-Key is invalid", "has 0 characters: from 1 to 255"},
		{"POST", "/api/orders", oneTea, []string{"a b"}, "the Idempotency-Key is invalid",
			"must be visible ASCII characters, without spaces, such as a UUID"},
		{"POST", "/api/orders", "{}", nil, "correct the listed errors, and send the request again", "is required, unless there are charges"},
		{"POST", "/api/orders", `{"charges": [], "sku": 1}`, nil, "correct the listed errors, and send the request again",
			"is unknown: the known members are customer_id, lines, charges"},
		{"POST", "/api/orders", "{", nil, "the body is not a valid JSON value: JSON lacks the name of a member at byte 1", ""},
		{"GET", "/api/orders/x?wait=61s", "", nil, "the parameter wait is invalid",
			"must be a duration from 0s to 1m0s, such as 5s or 500ms"},
		{"DELETE", "/api/orders/x", "", nil, "the path does not support DELETE: use GET, HEAD", ""},
		{"GET", "/nothing", "", nil, "no resource has the path /nothing", ""},
		{"GET", "/api/stock/NONE", "", nil, "the article has no stock: PUT the quantity of its first delivery", ""},
	} {
		r := s.MustRequest(t, tt.method, tt.path, tt.body)
		if tt.keys != nil {
			r.Header[keyHeader] = tt.keys
		}
		p := MustProblem(t, s.do(t, r))
		fault := ""
		if len(p.Errors) > 0 {
			fault = p.Errors[0].Detail
		}
		if p.Detail != tt.detail || fault != tt.fault {
			t.Errorf("%s %s: %q, fault %q; want %q, %q", tt.method, tt.path, p.Detail, fault, tt.detail, tt.fault)
		}
	}
}

func TestTextsOfATooLateRequest(t *testing.T) {
	t.Parallel()
	s := MustShop(t, nil)
	ended := s.MustPlace(t, oneTea)
	s.MustEnd(t, ended)
	s.outside.hold()
	open := s.MustPlace(t, oneTea)
	<-s.outside.waits                                   // before its charge, a cancelled order is cancelled at once
	for _, tt := range []struct{ path, detail string }{ // a detail of "" is an accepted request
		{open + "/return", "the order is placed: you can cancel the order"},
		{open + "/cancel", ""},
		{open + "/return", "the order is placed, and a cancellation was requested: no action is possible"},
		{ended + "/cancel", "the order is completed: you can return the order"},
		{ended + "/return", ""},
		{ended + "/cancel", "the order is returned: no action is possible"},
	} {
		answer := s.do(t, s.MustRequest(t, "POST", tt.path, `{"reason": "r"}`))
		if tt.detail == "" {
			if answer.StatusCode != http.StatusAccepted {
				t.Errorf("%s: %s", tt.path, answer.Status)
			}
			continue
		}
		p := MustProblem(t, answer)
		if p.Status != http.StatusConflict || p.Title != "The order's status does not allow this" || p.Detail != tt.detail {
			t.Errorf("%s: %d %q, %q; want %q", tt.path, p.Status, p.Title, p.Detail, tt.detail)
		}
	}
	close(s.outside.open)
}
