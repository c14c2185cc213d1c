package cli

import (
	"github.com/troupebus/troupe/internal/cli/console"
	"strings"
	"testing"
)

func TestRunAnnouncesInWords(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"127.0.0.1:0": "http://127.0.0.1:", "0.0.0.0:0": "http://localhost:"} {
		l, err := console.Listen(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		var out strings.Builder
		a := announcement{URL: console.UrlOf(l), Journal: "/x/shop.db", Transport: "sqlite", program: "troupe"}
		if err := a.print(&console.Options{Program: shop(), Stdout: &out}); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); !strings.Contains(text, want) || !strings.Contains(text, "/x/shop.db") || strings.Contains(text, ":0\n") || strings.Contains(text, "sqlite") {
			t.Errorf("%s: %q", address, text)
		}
	}
	var out strings.Builder
	a := announcement{Name: "front", Modules: []string{"order", "notification"}, Transport: "kafka", at: "h:1"}
	if err := a.print(&console.Options{Program: shop(), Stdout: &out}); err != nil || !strings.Contains(out.String(), "Deployable front runs order, notification, and exchanges events with the others over kafka at h:1") {
		t.Errorf("%v %q", err, out.String())
	}
}
