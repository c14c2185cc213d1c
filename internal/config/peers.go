package config

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
)

// peers finds those that lead clients nowhere, or to another deployable than the one that runs the module.
func (r *Report) peers(known []string) {
	for _, d := range r.Deployables {
		for _, m := range slices.Sorted(maps.Keys(d.peers)) {
			if !slices.Contains(known, m) { // which is wrong already
				continue
			}
			at := slices.IndexFunc(r.Deployables, func(d Deployable) bool { return slices.Contains(d.Modules, m) })
			switch {
			case slices.Contains(d.Modules, m):
				r.warn(d.peersAt, "peers of %s has %s, which runs there itself: leave it out", d.Name, m)
			case at < 0:
				r.warn(d.peersAt, "peers of %s has %s, which runs nowhere: leave it out, or have it run", d.Name, m)
			case astray(d.peers[m], r.Deployables[at].HTTP):
				there := r.Deployables[at]
				r.warn(d.peersAt, "peers of %s has %s at %s, but %s, which runs it, listens on %s", d.Name, m, d.peers[m], there, there.HTTP)
			}
		}
	}
}

// astray reports whether a client that is sent to base comes to another address than http. What goes by a name, by TLS, or from the
// network to a program that only its own host can reach, has something in between that nobody knows from here.
func astray(base, http string) bool {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" {
		return false
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	asked, ok := literal(net.JoinHostPort(u.Hostname(), port))
	listens, known := literal(http)
	if !ok || !known || listens.Port() == 0 || asked.Addr().IsLoopback() != listens.Addr().IsLoopback() {
		return false
	}
	return asked != listens
}

// literal is the address of host:port when no name has to be looked up, and it is one only.
func literal(text string) (netip.AddrPort, bool) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, false
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	return a, err == nil && !a.Addr().IsUnspecified()
}
