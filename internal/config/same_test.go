package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckComparesWhatIsMeant has two deployables say the same in different words, or almost the same.
func TestCheckComparesWhatIsMeant(t *testing.T) {
	t.Parallel()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	kafka := func(brokers string) string { return "transport: kafka\nkafka: {brokers: '" + brokers + "'}\n" }
	postgres := func(url string) string { return "transport: postgres\npostgres: {url: '" + url + "'}\n" }
	const apart, warned = "do not meet", "warned"
	for _, c := range []struct{ one, other, says string }{
		{kafka("Kafka-1:9092,b:1"), kafka("c:1,kafka-1.:9092"), ""},
		{kafka("localhost:9092"), kafka("127.0.0.1:9092"), ""},
		{kafka("[::1]:9092"), kafka("LOCALHOST:09092"), ""},
		{kafka("a:9092"), kafka("a:9093"), apart},
		{postgres("postgres://u@DB.example.com/d"), postgres("postgresql://v:p@db.example.com.:5432/d?sslmode=verify-full"), ""},
		{postgres("postgres://u@h"), postgres("postgres://u@h/"), ""},
		{postgres("postgres://u@h"), postgres("postgres://x@h/u"), ""},
		{postgres("postgres://u@h"), postgres("postgres://v@h"), apart},
		{postgres("postgres://u@localhost/d"), postgres("postgres://u@127.0.0.1:5432/d"), ""},
		{postgres("postgres:///d?host=/var/run/postgresql&user=u"), postgres("postgres://u@localhost/d"), ""},
		{postgres("postgres://u@h/d?port=5433"), postgres("postgres://u@h/d"), apart},
		{postgres("postgres://u@h/d?port=5433"), postgres("postgres://u@h:5433/d"), ""},
		{postgres("postgres://u@h/d?dbname=e"), postgres("postgres://u@h/d"), apart},
		{postgres("postgres://u@h/d?dbname=e"), postgres("postgres://u@h/e"), ""},
		{postgres("postgres://u@a,b/d"), postgres("postgres://u@b:5432/d"), ""},
		{postgres("postgres://u@a:1,b:2/d"), postgres("postgres://u@b:1/d"), apart},
		{postgres("postgres://u@h/d?search_path=a"), postgres("postgres://u@h/d?search_path=b"), apart},
		{postgres("postgres://u@h/d?search_path=A,public"), postgres("postgres://u@h/d?options=-csearch_path%3Da"), ""},
		{postgres("postgres://u@h/d?search_path=a"), postgres("postgres://u@h/d"), ""},
		{postgres("postgres://?service=a"), postgres("postgres://?service=a"), ""},
		{postgres("postgres://?service=a"), postgres("postgres://u@h/d"), warned},
		{"http: ':8080'\n", "http: '127.0.0.1:8080'\n", warned},
		{"http: '0.0.0.0:8080'\n", "http: '[::1]:8080'\n", warned},
		{"http: 'localhost:8080'\n", "http: '127.0.0.1:8080'\n", warned},
		{"http: '10.0.0.1:8080'\n", "http: '127.0.0.1:8080'\n", ""},
		{"http: ':0'\n", "http: ':0'\n", ""},
		{"journal: ./a/../x.db\n", "journal: " + filepath.Join(folder, "x.db") + "\n", warned},
		{"journal: x.db\n", "journal: y.db\n", ""},
	} {
		at := t.TempDir()
		var files []string
		for i, text := range []string{c.one, c.other} {
			text += fmt.Sprintf("name: d%d\nmodules: %s\n", i, []string{"[order, notification, inventory]", "[payment, shipping]"}[i])
			for key, line := range map[string]string{"transport:": kafka("k:1"), "http:": fmt.Sprintf("http: 'h:%d'\n", i+1), "journal:": fmt.Sprintf("journal: j%d.db\n", i)} {
				if !strings.Contains(text, key) {
					text += line
				}
			}
			files = append(files, MustWriteAs(t, filepath.Join(at, fmt.Sprint(i, ".yaml")), text))
		}
		r := shop.Check(files...)
		is := ""
		if len(r.Warnings) > 0 {
			is = warned
		}
		if len(r.Wrong) > 0 {
			is = r.Wrong[0].What
		}
		if len(r.Wrong)+len(r.Warnings) > 1 || !strings.Contains(is, c.says) || c.says == "" && is != "" {
			t.Errorf("%s against %s: wrong %v, warnings %v, want %q", c.one, c.other, r.Wrong, r.Warnings, c.says)
		}
	}
}
