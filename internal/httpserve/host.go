package httpserve

import (
	"net"
	"net/netip"
	"strings"
)

// hosts are the names, in lower case, for which a server answers.
type hosts map[string]bool

func allowed(names []string) hosts {
	h := hosts{"localhost": true}
	for _, n := range names {
		h[plain(n)] = true
	}
	return h
}

// plain returns name for comparisons: in lower case, and without the dot at the end of a full name.
func plain(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// has reports whether to answer a request for the host, which may have a port. A request without a host, as in
// HTTP/1.0, does not come from a browser.
func (h hosts) has(host string) bool {
	if host == "" {
		return true
	}
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	if bare, ok := strings.CutPrefix(name, "["); ok && strings.HasSuffix(bare, "]") {
		name = bare[:len(bare)-1]
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return !strings.ContainsFunc(a.Zone(), func(r rune) bool { return !inZone(r) })
	}
	name = plain(name)
	return h[name] || strings.HasSuffix(name, ".localhost") // browsers never look up these names (RFC 6761, 6.3)
}

// inZone reports whether r may be in the zone of an address, such as eth0 (RFC 6874, 2).
func inZone(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~%", r)
}
