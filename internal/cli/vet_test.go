package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/cli/console"
)

// TestMain lets go vet run the binary of the tests as the binary of a program.
func TestMain(m *testing.M) {
	if isVetTool(os.Args[1:]) {
		runVetTool()
	}
	os.Exit(m.Run())
}

func TestIsVetTool(t *testing.T) {
	for args, want := range map[string]bool{
		"": false, "-V=full": true, "-flags": true, "/tmp/b001/vet.cfg": true, "-json /tmp/b001/vet.cfg": true,
		"--version": false, "run --config vet.cfg": false, "vet ./...": false, "--json vet": false,
	} {
		if got := isVetTool(strings.Fields(args)); got != want {
			t.Errorf("isVetTool(%q) is %v", args, got)
		}
	}
}

func TestVet(t *testing.T) {
	const mistaken = "./testdata/mistaken"
	vet := func(args ...string) (stdout, stderr string, code int) {
		var out, errs bytes.Buffer
		p := console.Program{Name: "clinic", Wire: func(*bus.Bus) any { return nil }}
		code = Run(t.Context(), p, append([]string{"vet"}, args...), &out, &errs)
		return out.String(), errs.String(), code
	}
	_, said, code := vet(mistaken)
	for _, want := range []string{
		"mistaken.go:23:3: the result of bus.Emit is thrown away", "mistaken.go:24:30: time.Now returns another value when a handler runs again",
	} {
		if !strings.Contains(said, want) || code != console.ExitWrong {
			t.Errorf("vet says, with exit code %d:\n%s\nwant %q", code, said, want)
		}
	}
	out, said, code := vet("--json", mistaken)
	found := map[string]map[string][]struct{ Posn, Message string }{}
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != console.ExitWrong {
		t.Fatalf("vet --json prints %s, with exit code %d (%v):\n%s", out, code, err, said)
	}
	for _, of := range found {
		if len(of["discard"]) != 1 || len(of["clock"]) != 1 {
			t.Errorf("the findings are %v", of)
		}
	}
	if out, said, code := vet("--json", "../../internal/cli/term"); strings.TrimSpace(out) != "{}" || code != 0 {
		t.Errorf("vet --json of a package without mistakes prints %s, with exit code %d:\n%s", out, code, said)
	}
	if _, said, code := vet("./testdata/missing"); code != console.ExitWrong || !strings.Contains(said, "missing") {
		t.Errorf("vet of no package says, with exit code %d:\n%s", code, said)
	}
}
