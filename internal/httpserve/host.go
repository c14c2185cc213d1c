package httpserve

import (
	"net"
	"net/netip"
	"strings"
)

// hosts are names that a server answers for, in lower case.
type hosts map[string]bool

func allowed(names []string) hosts {
	h := hosts{"localhost": true}
	for _, n := range names {
		h[plain(n)] = true
	}
	return h
}

// plain is a host's name as it is compared: in lower case, and without the dot at the end of a full one.
func plain(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// has reports whether a request for the host, which may have a port, is to be answered. A request without any host, as in
// HTTP/1.0, is not a browser's.
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
	return h[name] || strings.HasSuffix(name, ".localhost") // which browsers never look up (RFC 6761, 6.3)
}

// inZone reports whether r may be in the zone of an address, such as eth0 (RFC 6874, 2).
func inZone(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~%", r)
}
