package config

import (
	"strings"
	"testing"
)

// TestCheckPeers warns of peers that lead clients astray, and only of those.
func TestCheckPeers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ peers, http, want string }{
		{"payment: 'http://127.0.0.1:8081', shipping: 'http://localhost:8081/'", "127.0.0.1:8081", ""},
		{"payment: 'http://[::1]:8081'", "'[::1]:8081'", ""},
		{"payment: 'http://127.0.0.1:8082'", "127.0.0.1:8081", "peers of front has payment at http://127.0.0.1:8082, but back (troupe.yaml:6), which runs it, listens on 127.0.0.1:8081"},
		{"payment: 'http://10.0.0.1'", "10.0.0.1:8081", "peers of front has payment at http://10.0.0.1, but back (troupe.yaml:6), which runs it, listens on 10.0.0.1:8081"},
		{"payment: 'http://10.0.0.1'", "10.0.0.1:80", ""},
		{"payment: 'http://10.0.0.1:8081'", "10.0.0.2:8081", "peers of front has payment at http://10.0.0.1:8081, but back (troupe.yaml:6), which runs it, listens on 10.0.0.2:8081"},
		{"payment: 'http://pay.example:80'", "10.0.0.2:8081", ""},
		{"payment: 'https://10.0.0.1'", "10.0.0.1:8081", ""},
		{"payment: 'http://10.0.0.1'", "127.0.0.1:8081", ""}, // by way of a proxy on that host
		{"payment: 'http://10.0.0.1'", "0.0.0.0:8081", ""},
		{"payment: 'http://127.0.0.1:8082'", "127.0.0.1:0", ""},
		{"order: 'http://h'", "h:0", "peers of front has order, which runs there itself: leave it out"},
	} {
		path := MustWrite(t, "transport: kafka", "kafka: {brokers: 'h:1'}", "deployables:", "  front: {modules: [order, notification, inventory],",
			"    peers: {"+c.peers+"}}", "  back: {modules: [payment, shipping], journal: b.db, http: "+c.http+"}")
		r := shop.Check(path)
		got := strings.ReplaceAll(r.Warnings.lines(), path, "troupe.yaml")
		want := c.want
		if want != "" {
			want = "troupe.yaml" + ":5: " + want
		}
		if len(r.Wrong) > 0 || got != want {
			t.Errorf("%s, %s: wrong %v, warnings\n%s\nwant\n%s", c.peers, c.http, r.Wrong, got, want)
		}
	}
	r := shop.Check(MustWrite(t, "modules: [order]", "transport: kafka", "kafka: {brokers: 'h:1'}", "peers: {payment: 'http://h'}"))
	if got := r.Warnings.lines(); !strings.HasSuffix(got, "peers of order has payment, which runs nowhere: leave it out, or have it run") {
		t.Errorf("warnings %q", got)
	}
}

func (m Mistakes) lines() string {
	var all []string
	for _, one := range m {
		all = append(all, one.String())
	}
	return strings.Join(all, "\n")
}
