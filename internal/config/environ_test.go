package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestVariablesFollowTheFile: who knows a setting's place in the file knows its variable.
func TestVariablesFollowTheFile(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		for i := range p.table {
			s := &p.table[i]
			want := strings.ToUpper(p.name + "_" + regexp.MustCompile(`[.-]`).ReplaceAllString(s.path, "_"))
			if got := s.env(); got != want {
				t.Errorf("the variable of %s is %s, want %s", s.path, got, want)
			}
		}
	}
}

// TestVariableByBothNames takes what is called after the flag, and does not choose between two that differ.
func TestVariableByBothNames(t *testing.T) {
	t.Parallel()
	const short, long = "TROUPE_BROKERS", "TROUPE_KAFKA_BROKERS"
	file := MustWrite(t, "transport: kafka", "kafka: {brokers: 'file:1'}")
	for _, c := range []struct {
		environ      []string
		brokers, bad string
	}{
		{[]string{long + "=long:1"}, "long:1", ""},
		{[]string{short + "=short:1"}, "short:1", ""},
		{[]string{short + "=", long + "=long:1"}, "long:1", ""},
		{[]string{short + "=same:1", long + "=same:1"}, "same:1", ""},
		{[]string{short + "=short:1", long + "=long:1"}, "", long + ": is the same setting as " + short + ", with another value: remove one of them"},
		{[]string{long + "=long:1", short + "=short:1"}, "", short + ": is the same setting as " + long + ", with another value: remove one of them"},
	} {
		l, err := shop.Load(Input{Environ: c.environ, Flags: MustFlags(t, "--config", file)})
		if c.bad != "" {
			if err == nil || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%v: %v, want %s", c.environ, err, c.bad)
			}
			continue
		}
		if got := strings.Join(l.Backend.Kafka.Brokers, ","); err != nil || got != c.brokers {
			t.Errorf("%v: brokers are %s, want %s (%v)", c.environ, got, c.brokers, err)
		}
	}
}

func TestVariablesThatNobodyReads(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"TROUPE_KAFKA_BROKER": "TROUPE_KAFKA_BROKERS", "TROUPE_BROKER": "TROUPE_BROKERS", "TROUPE_POSTGRES_URI": "TROUPE_POSTGRES_URL",
		"TROUPE_CONFG": "TROUPE_CONFIG", "TROUPE_KAFKA_CLIENTID": "TROUPE_KAFKA_CLIENT_ID",
		"TROUPE_VERSION": "", "TROUPES_SEED": "",
		"TROUPE_PORT": "", "TROUPE_SERVICE_HOST": "", "TROUPE_POSTGRES_PORT": "", "TROUPE_POSTGRES_SERVICE_PORT": "", "TROUPE_KAFKA_PORT_9092_TCP_ADDR": "",
	} {
		_, got := shop.fromEnviron([]string{name + "=x"})
		unknown := shop.UnknownVariables([]string{name + "=x"})
		if warned := len(unknown) > 0; warned != (name == "TROUPE_VERSION") {
			t.Errorf("%s: warnings %v", name, unknown)
		}
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0] != Mistake{name, "no setting has this variable: did you mean " + want + "?"}) {
			t.Errorf("%s: %v, want %q", name, got, want)
		}
	}
}

// TestVariablesOfAServiceInTheName has a program whose own name is like the end of a service's variable.
func TestVariablesOfAServiceInTheName(t *testing.T) {
	t.Parallel()
	p := MustProgram("my-service", nil, nil)
	_, got := p.fromEnviron([]string{"MY_SERVICE_JORNAL=x", "MY_SERVICE_POSTGRES_PORT=x", "MY_SERVICE_SERVICE_HOST=x"})
	if got.lines() != "MY_SERVICE_JORNAL: no setting has this variable: did you mean MY_SERVICE_JOURNAL?" {
		t.Errorf("mistakes %v", got)
	}
}

// TestVariablesOfTools finds every variable that this repository reads besides: a program beside them does not take them for mistakes.
func TestVariablesOfTools(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`TROUPE_[A-Z][A-Z_]*[A-Z]`)
	found := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || path == "../../internal/config"): // with mistakes, for its tests
			return fs.SkipDir
		case d.IsDir() || !slices.Contains([]string{".go", ".sh", ".yaml", ""}, filepath.Ext(path)):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, v := range name.FindAllString(string(text), -1) {
			found[v] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 || !found["TROUPE_TEST_KAFKA"] || !found["TROUPE_KAFKA_HOME"] {
		t.Errorf("found %v only", found)
	}
	delete(found, "TROUPE_INSURER_URL") // a test has it as a variable of another program
	for v := range found {
		_, wrong := shop.fromEnviron([]string{v + "=x"})
		if wrong = append(wrong, shop.UnknownVariables([]string{v + "=x"})...); len(wrong) > 0 {
			t.Errorf("%v: if a test or a tool reads it, add it to others", wrong)
		}
	}
}
