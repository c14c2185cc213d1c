package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	const kafka = "transport: kafka\nkafka: {brokers: 'h:1'}\n"
	front := "name: front\nmodules: [order, notification, inventory]\n" + kafka
	back := "name: back\nmodules: [payment, shipping]\njournal: back.db\nhttp: 127.0.0.1:0\n" + kafka
	swap := func(text, from, to string) string {
		if !strings.Contains(text, from) {
			t.Fatalf("%q is not in %q", from, text)
		}
		return strings.Replace(text, from, to, 1)
	}
	for _, c := range []struct {
		name            string
		files           []string
		wrong, warnings []string
	}{
		{"one for all", []string{"journal: shop.db"}, nil, nil},
		{"one for all, heard outside", []string{kafka}, nil, nil},
		{"two that fit", []string{front, back}, nil, nil},
		{"two in one file", []string{kafka + "deployables:\n  front: {modules: [order, notification, inventory]}\n  back: {modules: [payment, shipping], journal: b.db, http: 'h:1'}\n"}, nil, nil},
		{"a module in none", []string{front, swap(back, ", shipping", "")}, []string{"module shipping runs nowhere: add it to the modules of one deployable"}, nil},
		{"a module in two", []string{front, swap(back, "shipping", "shipping, order")}, []string{
			"module order runs in front (0.yaml) and back (1.yaml): everything would be done in each of them; leave it to one"}, nil},
		{"all, and one of them", []string{swap(front, "modules: [order, notification, inventory]\n", ""), swap(back, "[payment, shipping]", "[payment]")}, []string{
			"module payment runs in front (0.yaml) and back (1.yaml): everything would be done in each of them; leave it to one"}, nil},
		{"one that others cannot hear", []string{swap(front, kafka, ""), back}, []string{
			"0.yaml: front has no transport: no other deployable receives the events of order, notification, inventory; set transport to kafka or postgres"}, nil},
		{"only one of two", []string{swap(front, kafka, "")}, []string{
			"module payment runs nowhere: add it to the modules of one deployable", "module shipping runs nowhere: add it to the modules of one deployable",
			"0.yaml: front has no transport: no other deployable receives the events of order, notification, inventory; set transport to kafka or postgres"}, nil},
		{"other transports", []string{front, swap(back, kafka, "transport: postgres\npostgres: {url: 'postgres://u:hunter2@h/d'}\n")}, []string{
			"1.yaml: transport is postgres in back, and kafka in front (0.yaml): with other transports they do not meet"}, nil},
		{"other prefixes", []string{front, back + "prefix: test\n"}, []string{
			"1.yaml: prefix is test in back, and troupe in front (0.yaml): with other prefixes they do not meet"}, nil},
		{"other brokers", []string{front, swap(back, "h:1", "h:2")}, []string{
			"1.yaml: kafka.brokers is h:2 in back, and h:1 in front (0.yaml): with other brokers they do not meet"}, nil},
		{"brokers of one cluster", []string{swap(front, "'h:1'", "[h:1, h:2]"), swap(back, "'h:1'", "[h:3, h:2]")}, nil, nil},
		{"brokers of one cluster, by way of others", []string{"name: a\nmodules: [order, notification, inventory]\nhttp: 'h:0'\n" + kafka, swap(swap(back, "[payment, shipping]", "[shipping]"), "h:1", "h:2"),
			"name: c\nmodules: [payment]\njournal: c.db\n" + swap(kafka, "'h:1'", "[h:2, h:1]")}, nil, nil},
		{"other databases", []string{swap(front, kafka, "transport: postgres\npostgres: {url: 'postgres://u:hunter2@h/d'}\n"), swap(back, kafka, "transport: postgres\npostgres: {url: 'postgres://v:hunter2@h/e'}\n")}, []string{
			"1.yaml: postgres.url is h:5432/e in back, and h:5432/d in front (0.yaml): with other databases they do not meet"}, nil},
		{"other users of one database", []string{swap(front, kafka, "transport: postgres\npostgres: {url: 'postgres://u:hunter2@h/d'}\n"), swap(back, kafka, "transport: postgres\npostgres: {url: 'postgres://v:hunter3@h/d'}\n")}, nil, nil},
		{"brokers that are told later", []string{front, swap(back, "kafka: {brokers: 'h:1'}\n", "")}, nil, []string{
			"1.yaml: back does not say where kafka is: set TROUPE_KAFKA_BROKERS when you start the deployable"}},
		{"one name", []string{front, swap(back, "name: back", "name: front")}, []string{"front (0.yaml) and front (1.yaml) are both called front: give each a name of its own"}, nil},
		{"one journal and one address", []string{front, swap(swap(back, "journal: back.db", "journal: ./troupe.db"), "127.0.0.1:0", "127.0.0.1:8080")}, nil, []string{
			"front (0.yaml) and back (1.yaml) have the same journal, troupe.db: on one host, each needs its own",
			"front (0.yaml) and back (1.yaml) listen on the same address, 127.0.0.1:8080: on one host, each needs its own"}},
		{"mistakes in both", []string{front + "sed: 1\n", back + "seed: x\nname: y\n"}, []string{
			"0.yaml:5: unknown key sed: did you mean seed?", "1.yaml:8: name is there already, in line 1: remove one of them", `1.yaml:7: seed "x": want a whole number of 0 or more`}, nil},
		{"a mistake that is shared", []string{kafka + "seed: x\ndeployables:\n  front: {modules: [order, notification, inventory]}\n  back: {modules: [payment, shipping], journal: b.db, http: 'h:1'}\n"},
			[]string{`0.yaml:3: seed "x": want a whole number of 0 or more`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			var files []string
			for i, text := range c.files {
				files = append(files, MustWriteAs(t, filepath.Join(folder, string(rune('0'+i))+".yaml"), text))
			}
			r := shop.Check(files...)
			for _, side := range []struct {
				of    string
				got   Mistakes
				wants []string
			}{{"wrong", r.Wrong, c.wrong}, {"warnings", r.Warnings, c.warnings}} {
				var got []string
				for _, m := range side.got {
					got = append(got, strings.ReplaceAll(m.String(), folder+"/", ""))
				}
				if !slices.Equal(got, side.wants) {
					t.Errorf("%s:\n%s\nwant\n%s", side.of, strings.Join(got, "\n"), strings.Join(side.wants, "\n"))
				}
				if strings.Contains(strings.Join(got, ""), "hunter") {
					t.Errorf("%s show a password", side.of)
				}
			}
		})
	}
}

func TestCheckDescribesTheDeployables(t *testing.T) {
	t.Parallel()
	file := MustWrite(t, "transport: postgres", "postgres: {url: 'postgres://ada:hunter2@h:5432/d'}", "deployables:", "  one: {modules: [order]}", "  two: {}")
	got := shop.Check(file).Deployables
	if len(got) != 2 || got[0].Name != "one" || got[0].Where != file+":4" || !slices.Equal(got[0].Modules, []string{"order"}) || got[0].At != "h:5432/d" ||
		got[1].Name != "two" || !slices.Equal(got[1].Modules, shop.modules) || got[1].Journal != "troupe.db" {
		t.Errorf("deployables %+v", got)
	}
}

func TestCheckOfNoFile(t *testing.T) {
	t.Parallel()
	if r := shop.Check("/nowhere.yaml", MustWrite(t, "modules: [order]")); len(r.Wrong) != 1 || r.Wrong[0].Where != "/nowhere.yaml" || len(r.Deployables) != 1 {
		t.Errorf("report %+v", r)
	}
}
