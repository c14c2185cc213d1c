package config

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// The functions of this file normalize settings, so that Check can compare the settings of two deployables.

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

// brokers normalizes the addresses of Kafka brokers.
func brokers(texts []string) (found []string) {
	for _, text := range texts {
		found = append(found, hostPort(text))
	}
	return found
}

// sameFile returns the absolute path of a file.
func sameFile(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return filepath.Clean(path)
}

// listens reports whether a and b clash as addresses to listen on at one host.
func listens(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || strings.Trim(portA, "0") == "" {
		return false
	}
	hostA, hostB = host(hostA), host(hostB)
	return hostA == hostB || hostA == "" || hostB == ""
}

// databaseAt is the database of a Postgres URL, without user and password.
type databaseAt struct {
	addresses []string // host:port/database for each host
	schema    string   // of the tables; "" if the URL names no schema
	service   string   // an entry of a service file, which is not read; "" for none
}

// databaseOf parses a Postgres URL as the clients of Postgres do: the parameters override the other parts.
func databaseOf(text string) (at databaseAt, ok bool) {
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
		at.addresses = append(at.addresses, net.JoinHostPort(h, cmp.Or(port, "5432"))+"/"+name)
	}
	at.schema, at.service = schemaOf(q), cmp.Or(q.Get("service"), q.Get("servicefile"))
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

// database returns the database of a Postgres URL as text, without user and password; "" for an unreadable URL.
func database(text string) string {
	at, ok := databaseOf(text)
	switch {
	case !ok:
		return ""
	case at.service != "":
		return "service " + at.service
	case at.schema != "":
		return strings.Join(at.addresses, ",") + " schema " + at.schema
	}
	return strings.Join(at.addresses, ",")
}
