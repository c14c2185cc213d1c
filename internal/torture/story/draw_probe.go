package story

import (
	"fmt"
	"strings"
)

// Here stands for the folder of the run in the settings files of a step CheckSettings.
const Here = "HERE"

// settings draws the settings files of two deployables, which mean the same in different words, or almost the same.
func (d *drawer) settings() {
	one, other, mood := pick(d, d.brokers, d.databases, d.addresses, d.journals)()
	s := Step{Do: CheckSettings, Mood: mood}
	for i, text := range []string{one + "modules: [order, notification, inventory]\n", other + "modules: [payment, shipping]\n"} {
		for _, line := range []string{"transport: kafka\nkafka: {brokers: k:1}", "http: h:%d", "journal: j%d.db", "name: d%d"} {
			key, _, _ := strings.Cut(line, ":")
			if !strings.Contains(text, key+":") {
				text += strings.ReplaceAll(line, "%d", fmt.Sprint(i)) + "\n"
			}
		}
		s.Args = append(s.Args, text)
	}
	d.do(s)
}

// host draws a spelling of a host name.
func (d *drawer) host(name string) string {
	if name == "localhost" {
		return pick(d, "127.0.0.1", "[::1]", d.capitals(name))
	}
	return d.capitals(name) + pick(d, "", ".")
}

// capitals draws capitals and small letters for text.
func (d *drawer) capitals(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' && d.chance(50) {
			return r - 'a' + 'A'
		}
		return r
	}, text)
}

// brokers draws two lists of brokers, with a common broker or without.
func (d *drawer) brokers() (one, other, mood string) {
	host, port := pick(d, "kafka-1.example", "localhost"), 9092
	text := func(more string) string {
		return fmt.Sprintf("transport: kafka\nkafka: {brokers: \"%s:%s%d,%s\"}\n", d.host(host), pick(d, "", "0"), port, more)
	}
	one = text("b:1")
	if d.chance(50) {
		port, mood = 9093, Apart
	}
	return one, text("c:1"), mood
}

// databases draws two URLs, of the same database or of different databases.
func (d *drawer) databases() (one, other, mood string) {
	at := database{pick(d, "db.example", "localhost"), pick(d, "5432", "5433"), "shop", pick(d, "", "sales")}
	text := func() string { return fmt.Sprintf("transport: postgres\npostgres: {url: %q}\n", d.url(at)) }
	one = text()
	if d.chance(50) {
		mood = Apart
		switch {
		case at.schema != "" && d.chance(50):
			at.schema = "returns"
		case d.chance(30):
			at.host = "other.example"
		case d.chance(50):
			at.port = "5434"
		default:
			at.name = "store"
		}
	}
	return one, text(), mood
}

type database struct{ host, port, name, schema string }

// url draws a URL of a database.
func (d *drawer) url(at database) string {
	host, port, name := d.host(at.host), ":"+at.port, "/"+at.name
	var parameters []string
	if at.host == "localhost" && d.chance(20) {
		host = ""
		parameters = append(parameters, "host=/var/run/postgresql")
	}
	switch {
	case at.port == "5432" && d.chance(50):
		port = ""
	case host == "" || d.chance(50):
		port = ""
		parameters = append(parameters, "port="+at.port)
	}
	if d.chance(50) {
		name = pick(d, "", "/", "/else")
		parameters = append(parameters, "dbname="+at.name)
	}
	if at.schema != "" {
		parameters = append(parameters, pick(d, "search_path=", "options=-csearch_path%3D")+d.capitals(at.schema))
	}
	text := pick(d, "postgres", "postgresql") + "://" + pick(d, "ada", "bob") + "@" + host + port + name
	if len(parameters) > 0 {
		text += "?" + strings.Join(parameters, "&")
	}
	return text
}

// addresses draws two addresses to listen on.
func (d *drawer) addresses() (one, other, mood string) {
	hosts := [][]string{{"", "0.0.0.0", "[::]"}, {"127.0.0.1", "[::1]", "localhost", "LOCALHOST"}, {"10.0.0.1"}}
	a, b, port := d.r.IntN(len(hosts)), d.r.IntN(len(hosts)), pick(d, 8080, 8080, 8081)
	if port == 8080 && (a == b || a == 0 || b == 0) {
		mood = Clash
	}
	text := func(of []string, port int) string { return fmt.Sprintf("http: \"%s:%d\"\n", pick(d, of...), port) }
	return text(hosts[a], 8080), text(hosts[b], port), mood
}

// journals draws two paths of journals.
func (d *drawer) journals() (one, other, mood string) {
	path := func(name string) string { return "journal: " + pick(d, "", "./", "a/../", Here+"/") + name + "\n" }
	if d.chance(50) {
		return path("x.db"), path("y.db"), ""
	}
	return path("x.db"), path("x.db"), Clash
}

// tie draws objects of the database of the shop. Most of them tie a module to tables of other modules, or of the
// journal.
func (d *drawer) tie(module string) {
	table := module + pick(d, "_my cards", "_cost$", "_cards")
	follow := "CREATE TRIGGER order_tie AFTER INSERT ON " + d.capitals("order_orders") + " BEGIN "
	create := `CREATE TABLE "` + table + `" (a)`
	tie, mood := module+"_tie", Tied
	var args []string
	switch d.r.IntN(4) {
	case 0:
		tie, args = "order_tie", []string{create, follow + "INSERT INTO " + d.spell(table) + " VALUES (1); END"}
	case 1:
		args = []string{"CREATE TRIGGER " + tie + " AFTER INSERT ON " + d.spell("events") + " BEGIN SELECT 1; END"}
	case 2:
		args = []string{"CREATE INDEX " + tie + " ON " + d.spell("events") + " (hops)"}
	default:
		mood, tie = "", "order_tie"
		args = []string{create, follow + "SELECT 'x'; /* " + table + " */ END"}
	}
	d.do(Step{Do: CheckSplit, Mood: mood, Args: append([]string{module, tie}, args...)})
}

// spell draws a spelling of a name in SQL.
func (d *drawer) spell(name string) string {
	name = d.capitals(name)
	if !strings.Contains(name, " ") && d.chance(50) {
		return name
	}
	return pick(d, `"`+name+`"`, "["+name+"]", "`"+name+"`")
}
