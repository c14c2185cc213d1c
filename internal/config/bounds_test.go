package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// What is no settings is refused soon, and in few words, however much there is of it.
func TestLargeSettings(t *testing.T) {
	t.Parallel()
	var many, unknown, modules strings.Builder
	many.WriteString("deployables:\n")
	for i := range 20_000 {
		fmt.Fprintf(&many, "  d%d: {modules: order, http: 'h:%d'}\n", i, i)
		fmt.Fprintf(&unknown, "k%d: 1\n", i)
		fmt.Fprintf(&modules, ",m%d", i)
	}
	for name, c := range map[string]struct{ text, wants string }{
		"a long word":           {"modules: " + strings.Repeat("a", 1<<20-100), `no module "aaa`},
		"a large file":          {"modules: " + strings.Repeat("a", 50<<20), "larger than 1024 KiB"},
		"a long key":            {strings.Repeat("a", 1000) + ": 1", "unknown key aaa"},
		"many deployables":      {many.String(), "has more than 1000"},
		"many unknown keys":     {unknown.String(), "the others are not listed"},
		"many modules":          {"modules: [" + modules.String()[1:] + "]", "at most 1000"},
		"modules of many":       {"modules: &m [" + modules.String()[1:4000] + "]\n" + many.String()[:20_000], "there is no module"},
		"many peers":            {"peers: 'a=http://h" + strings.ReplaceAll(modules.String(), ",m", ",a=http://h") + "'", "twice"},
		"deep":                  {"kafka: " + strings.Repeat("[", 1<<19), "yaml"},
		"an escape for screens": {"\"a\\e[31m\u202eb\": 1", `unknown key "a\x1b[31m\u202eb"`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "troupe.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			r := shop.Check(path)
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("check took %v", took)
			}
			text := r.Wrong.Error()
			if !strings.Contains(text, c.wants) && c.wants != "yaml" || len(r.Wrong) == 0 || len(text) > 256<<10 {
				t.Errorf("%d mistakes, %d bytes, want %q: %.300s", len(r.Wrong), len(text), c.wants, text)
			}
		})
	}
}

// FuzzSettings: whatever a file is, what is said of it can be printed and is not endless, and what is taken of it means the same when
// it is given as it is shown.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{
		"", "a", "modules: [order, payment]\nhttp: ':80'", "kafka: {brokers: [a:1, b:2], tls: true}", "deployables:\n  a: {modules: order}\n  b: &x {prefix: y}\n  c: *x",
		"peers: {order: 'http://h:1'}", "modules: &a [*a]", "kafka: *b", "a: 1\na: 2", "? [a]\n: b", "--- a\n--- b", "latency: -1s", "postgres: {retention: forever}",
		"seed: 0x1\nname: \"a\\u202e\"", "insurer: {url: 'http://h', share: 1e9, key: k}\nlanguages: ['a,b', ' c']\nrooms: -1", "insurer.share: NaN\nfee-cents: 1e3\nreminders: yes",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, p := range programs {
			fuzzSettings(t, p, data)
		}
	})
}

func fuzzSettings(t *testing.T, p *Program, data []byte) {
	file := p.parseFile("f.yaml", data)
	mistakes := file.mistakes
	if len(file.deployables) > maxDeployables || len(mistakes) > maxMistakes+1 {
		t.Fatalf("%d deployables, %d mistakes", len(file.deployables), len(mistakes))
	}
	for i, d := range file.all() {
		if i > 10 {
			break
		}
		l, wrong := d.load(file)
		mistakes = slices.Concat(mistakes, wrong, l.validate())
		wantShownAgain(t, l)
	}
	for _, m := range mistakes {
		if m.What == "" || strings.ContainsFunc(m.What, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }) {
			t.Fatalf("%q says %q", data, m)
		}
	}
}

// wantShownAgain gives every setting what it shows.
func wantShownAgain(t *testing.T, l *Loaded) {
	for i := range l.program.table {
		s := &l.program.table[i]
		if _, ok := l.from[s.path]; !ok || l.bad[s.path] {
			continue
		}
		is := s.field(&l.Settings).String()
		again := l.program.blank()
		if err := s.field(again).Set(is); err != nil {
			t.Fatalf("%s was taken, and shows as %q, which is not: %v", s.path, is, err)
		}
		if got := s.field(again).String(); got != is {
			t.Fatalf("%s shows as %q, and then as %q", s.path, is, got)
		}
	}
}
