package config

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
)

// peers warns of addresses that lead clients to no deployable, or to a deployable that does not run the module.
func (r *Report) peers(known []string) {
	for _, d := range r.Deployables {
		for _, m := range slices.Sorted(maps.Keys(d.peers)) {
			if !slices.Contains(known, m) { // reported already
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

// astray reports whether the URL base leads to another address than http. It returns false if that is unknown: for a
// host name, for TLS, and for a loopback address on only one side, because a proxy may be in between.
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

// literal returns the address of host:port, and false for a host name or for all addresses of the machine.
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
