// Package endpoint normalizes addresses, paths and URLs of databases, so that two settings can be compared.
package endpoint

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// host normalizes a host name or an address: "localhost" for a loopback address, and "" for all addresses of the
// machine.
func host(text string) string {
	text = strings.ToLower(strings.TrimSuffix(strings.Trim(text, "[]"), "."))
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return text
	case a.IsUnspecified():
		return ""
	case a.Unmap().IsLoopback():
		return "localhost"
	}
	return a.Unmap().String()
}

// hostPort normalizes host:port.
func hostPort(text string) string {
	h, port, err := net.SplitHostPort(text)
	if err != nil {
		return text
	}
	return net.JoinHostPort(host(h), strings.TrimLeft(port, "0"))
}

// Brokers normalizes the addresses of Kafka brokers.
func Brokers(texts []string) (found []string) {
	for _, text := range texts {
		found = append(found, hostPort(text))
	}
	return found
}

// SameFile returns the absolute path of a file.
func SameFile(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return filepath.Clean(path)
}

// Clash reports whether a and b clash as addresses to listen on at one host.
func Clash(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || strings.Trim(portA, "0") == "" {
		return false
	}
	hostA, hostB = host(hostA), host(hostB)
	return hostA == hostB || hostA == "" || hostB == ""
}

// Database is the database of a Postgres URL, without user and password.
type Database struct {
	Addresses []string // host:port/database for each host
	Schema    string   // of the tables; "" if the URL names no schema
	Service   string   // an entry of a service file, which is not read; "" for none
}

// ParseDatabase parses a Postgres URL as the clients of Postgres do: the parameters override the other parts.
func ParseDatabase(text string) (at Database, ok bool) {
	u, err := url.Parse(text)
	if err != nil || text == "" {
		return at, false
	}
	q := u.Query()
	name := cmp.Or(q.Get("dbname"), q.Get("database"), strings.TrimLeft(u.Path, "/"), q.Get("user"), u.User.Username())
	hosts, ports := splitHosts(u.Host)
	if given := cmp.Or(q.Get("host"), q.Get("hostaddr")); given != "" {
		hosts = strings.Split(given, ",")
	}
	if given := q.Get("port"); given != "" {
		ports = strings.Split(given, ",")
	}
	for i, h := range hosts {
		if h = host(h); h == "" || strings.HasPrefix(h, "/") { // a socket
			h = "localhost"
		}
		port := ports[min(i, len(ports)-1)]
		at.Addresses = append(at.Addresses, net.JoinHostPort(h, cmp.Or(port, "5432"))+"/"+name)
	}
	at.Schema, at.Service = schemaOf(q), cmp.Or(q.Get("service"), q.Get("servicefile"))
	return at, true
}

// splitHosts returns the hosts and ports of a Postgres URL, which are separated by commas.
func splitHosts(text string) (hosts, ports []string) {
	for one := range strings.SplitSeq(text, ",") {
		h, port, err := net.SplitHostPort(one)
		if err != nil {
			h, port = one, ""
		}
		hosts, ports = append(hosts, h), append(ports, port)
	}
	return hosts, ports
}

// schemaOf returns the first schema of the search path in the parameters of a URL.
func schemaOf(q url.Values) string {
	path := q.Get("search_path")
	if _, option, ok := strings.Cut(q.Get("options"), "search_path="); ok && path == "" {
		path, _, _ = strings.Cut(option, " ")
	}
	first, _, _ := strings.Cut(path, ",")
	first = strings.TrimSpace(first)
	if strings.HasPrefix(first, `"`) {
		return strings.Trim(first, `"`)
	}
	return strings.ToLower(first)
}

// DatabaseText returns the database of a Postgres URL as text, without user and password; "" for an unreadable URL.
func DatabaseText(text string) string {
	at, ok := ParseDatabase(text)
	switch {
	case !ok:
		return ""
	case at.Service != "":
		return "service " + at.Service
	case at.Schema != "":
		return strings.Join(at.Addresses, ",") + " schema " + at.Schema
	}
	return strings.Join(at.Addresses, ",")
}

// Astray reports whether the URL base leads to another address than http. It returns false if that is unknown: for a
// host name, for TLS, and for a loopback address on only one side, because a proxy may be in between.
func Astray(base, http string) bool {
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

// HasPassword reports whether a Postgres URL has a password. It returns true for an unreadable URL, which may have one.
func HasPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return true
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password")
}
