package httpapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// Whatever the body, the decoder answers with an order or says what is wrong; and an order that it has read reads the
// same again.
func FuzzDecodeOrder(f *testing.F) {
	for _, body := range []string{oneTea, `{}`, `null`, `[`, `{"lines":[{}]}`, `{"charges":[{"code":"D","amount_cents":-1}]}`, `{"a/b~":1}`, "\xff", `{"lines":null}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := decodeOrder(body)
		if err != nil {
			var p *problem
			if !errors.As(err, &p) || p.Status != 400 && p.Status != 422 || p.Status == 422 && len(p.Errors) == 0 {
				t.Fatalf("%q: %v", body, err)
			}
			for _, e := range p.Errors {
				if !strings.HasPrefix(e.Pointer, "#") || e.Detail == "" {
					t.Errorf("%q: %+v", body, e)
				}
			}
			return
		}
		text, err := json.Marshal(map[string]any{"customer_id": n.CustomerID, "lines": nonNil(n.Lines), "charges": nonNil(n.Charges)})
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeOrder(text)
		if err != nil {
			t.Fatalf("%q read as %s: %v", body, text, err)
		}
		if !reflect.DeepEqual(n, again) {
			t.Errorf("%q reads as %+v, then as %+v", body, n, again)
		}
	})
}

func nonNil[T any](s []T) []T { return append([]T{}, s...) }
