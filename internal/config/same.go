package config

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// What settings mean, for comparing them: two texts that mean the same are one text here.

// host returns a name or an address in one form: localhost stands for this machine under all of its names, and "" for all addresses of
// this machine.
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

// hostPort returns an address in one form.
func hostPort(text string) string {
	h, port, err := net.SplitHostPort(text)
	if err != nil {
		return text
	}
	return net.JoinHostPort(host(h), strings.TrimLeft(port, "0"))
}

// brokers are the addresses of Kafka's brokers, each in one form.
func brokers(texts []string) (found []string) {
	for _, text := range texts {
		found = append(found, hostPort(text))
	}
	return found
}

// sameFile is the path of a file as the working folder is seen from the root.
func sameFile(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return filepath.Clean(path)
}

// listens reports whether two programs on one host cannot both listen, on a and on b.
func listens(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || strings.Trim(portA, "0") == "" {
		return false
	}
	hostA, hostB = host(hostA), host(hostB)
	return hostA == hostB || hostA == "" || hostB == ""
}

// databaseAt is where a URL of Postgres leads, without who logs in.
type databaseAt struct {
	places  []string // host:port/database, one for each host
	schema  string   // of the tables; "" where the URL does not say
	service string   // in a file that is not looked at, which may say anything; "" where there is none
}

// databaseOf reads a URL of Postgres as its clients do: what its parameters say counts over the rest.
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
		at.places = append(at.places, net.JoinHostPort(h, cmp.Or(port, "5432"))+"/"+name)
	}
	at.schema, at.service = schemaOf(q), cmp.Or(q.Get("service"), q.Get("servicefile"))
	return at, true
}

// splitHosts takes apart the hosts that a URL of Postgres may have, with commas between them.
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

// schemaOf is the first schema of the search path that a URL gives.
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

// database is where a URL of Postgres leads, for people; "" where it cannot be told.
func database(text string) string {
	at, ok := databaseOf(text)
	switch {
	case !ok:
		return ""
	case at.service != "":
		return "service " + at.service
	case at.schema != "":
		return strings.Join(at.places, ",") + " schema " + at.schema
	}
	return strings.Join(at.places, ",")
}
