package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/troupebus/troupe/bus/cover"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/coverage"
	"github.com/troupebus/troupe/internal/cli/inspect"
)

// MustWriteCoverage writes what a run of tests exercised: 4 of 7 edges. It returns the file's path.
func MustWriteCoverage(tb testing.TB) string {
	tb.Helper()
	r := cover.New()
	s := r.Of("inventory/reserve")
	s.Declare([]string{"order.placed"}, []string{"inventory.reserved", "inventory.short"})
	s.Consumes["order.placed"][cover.Done] = 9
	s.Emits["inventory.reserved"] = 9
	s.Faults[cover.CrashBeforeCommit], s.Faults[cover.CrashAfterCommit], s.Faults[cover.DeliveredTwice] = 1, 1, 1
	s = r.Of("payment/charge")
	s.Outside = true
	s.Declare([]string{"inventory.reserved"}, []string{"payment.charged"})
	s.Consumes["inventory.reserved"][cover.Done] = 9
	s.Emits["payment.charged"] = 9
	s.Faults[cover.CallFailed], s.Faults[cover.CallHung] = 3, 3
	s = r.Of("payment/refund")
	s.Declare([]string{"order.returned"}, []string{`payment."<odd>"`})
	s.Consumes["order.returned"]["dead"] = 2
	path := filepath.Join(tb.TempDir(), "cover.json")
	if err := cover.Write(path, r); err != nil {
		tb.Fatal(err)
	}
	return path
}

func TestCoverText(t *testing.T) {
	t.Parallel()
	ran := MustRunCommand(t, inspect.NewCoverCmd, MustWriteCoverage(t))
	const want = `57.1 % covered: 4 of 7 edges

never taken
  inventory
    inventory/reserve → inventory.short
  payment
    order.returned → payment/refund  (dead 2 times, never done)
    payment/refund → payment."<odd>"

faults never met
  payment/charge  crash before commit, crash after commit, delivered twice, answer lost
  payment/refund  any
`
	if ran.err != nil || ran.stdout != want {
		t.Errorf("%v, wrote\n%s", ran.err, ran.stdout)
	}
}

func TestCoverMermaid(t *testing.T) {
	t.Parallel()
	ran := MustRunCommand(t, inspect.NewCoverCmd, MustWriteCoverage(t), "--mermaid")
	const want = `flowchart LR
  e0(["inventory.reserved"])
  e1(["inventory.short"])
  e2(["order.placed"])
  e3(["order.returned"])
  e4(["payment.#quot;#lt;odd#gt;#quot;"])
  e5(["payment.charged"])
  subgraph m0 ["inventory"]
    s0["reserve"]
  end
  subgraph m1 ["payment"]
    s1["charge"]
    s2["refund"]
  end
  e2 -->|9| s0
  s0 -->|9| e0
  s0 -.->|never| e1
  e0 -->|9| s1
  s1 -->|9| e5
  e3 -.->|never| s2
  s2 -.->|never| e4
  linkStyle 2,5,6 stroke:#d33,color:#d33
`
	if ran.err != nil || ran.stdout != want {
		t.Errorf("%v, wrote\n%s", ran.err, ran.stdout)
	}
}

// Files are added up, and what one of them covers is covered.
func TestCoverOfSeveralFiles(t *testing.T) {
	t.Parallel()
	first, second := MustWriteCoverage(t), MustWriteCoverage(t)
	rest := cover.New()
	s := rest.Of("inventory/reserve")
	s.Declare([]string{"order.placed"}, []string{"inventory.short"})
	s.Emits["inventory.short"] = 1
	s = rest.Of("payment/refund")
	s.Declare([]string{"order.returned"}, []string{`payment."<odd>"`})
	s.Consumes["order.returned"][cover.Done] = 1
	s.Emits[`payment."<odd>"`] = 1
	if err := cover.Write(second, rest); err != nil {
		t.Fatal(err)
	}
	ran := MustRunCommand(t, inspect.NewCoverCmd, first, second, "--json", "--min", "100")
	c := mustUnmarshal[coverage.Covered](t, ran)
	if ran.err != nil || c.Percent != 100 || c.Covered != 7 || c.Edges != 7 || c.NeverTaken == nil || len(c.NeverTaken) != 0 {
		t.Errorf("%v, %+v", ran.err, c)
	}
	if n := c.Subscriptions["inventory/reserve"].Consumes["order.placed"][cover.Done]; n != 18 {
		t.Errorf("%d orders, want 18", n)
	}
	if want := []cover.Fault{cover.CrashBeforeCommit, cover.CrashAfterCommit, cover.DeliveredTwice}; len(c.NeverMet) != 2 || !reflect.DeepEqual(c.NeverMet["payment/refund"], want) {
		t.Errorf("never met: %v", c.NeverMet)
	}
	if text := MustRunCommand(t, inspect.NewCoverCmd, first, second); !strings.HasPrefix(text.stdout, "100.0 % covered: 7 of 7 edges\n\nfaults never met\n") {
		t.Errorf("wrote\n%s", text.stdout)
	}
}

func TestCoverMin(t *testing.T) {
	t.Parallel()
	path := MustWriteCoverage(t)
	empty := filepath.Join(t.TempDir(), "empty.json")
	if err := cover.Write(empty, cover.New()); err != nil {
		t.Fatal(err)
	}
	malformed := filepath.Join(t.TempDir(), "a b.json")
	if err := os.WriteFile(malformed, []byte("mode: set\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "none.json")
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{path, "--min", "57"}, 0, []string{"57.1 % covered"}},
		{[]string{path, "--min", "57.2"}, console.ExitWrong, []string{"57.1 % covered", "57.1 % of the edges are covered, and --min wants 57.2 %: 3 edges were never taken"}},
		{[]string{path, "--min", "95", "--mermaid"}, console.ExitWrong, []string{"flowchart LR", "--min wants 95 %"}},
		{[]string{empty}, 0, []string{"0.0 % covered: 0 of 0 edges"}},
		{[]string{empty, "--min", "1"}, console.ExitWrong, []string{"no test wrote an edge"}},
		{[]string{missing}, console.ExitWrong, []string{"there is no file " + missing, "TROUPE_COVER=" + missing + " go test -count=1 ./..."}},
		{[]string{path, malformed}, console.ExitWrong, []string{malformed + ": not a coverage file", "remove the file", "TROUPE_COVER='" + malformed + "' go test"}},
		{[]string{t.TempDir()}, console.ExitWrong, []string{"is a directory"}},
		{nil, console.ExitUsage, []string{"requires at least 1 arg"}},
		{[]string{path, "--min", "101"}, console.ExitUsage, []string{"between 0 and 100"}},
		{[]string{path, "--min", "NaN"}, console.ExitUsage, []string{"between 0 and 100"}},
		{[]string{path, "--json", "--mermaid"}, console.ExitUsage, []string{"exclude each other"}},
	} {
		wantOutput(t, MustRunCommand(t, inspect.NewCoverCmd, c.args...), c.code, c.says...)
	}
}
