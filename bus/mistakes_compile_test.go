package bus_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// notCompiling is a file whose wrong lines end in what the compiler says.
const notCompiling = `package mistaken

import (
	"context"
	"database/sql"

	"github.com/troupebus/troupe/bus"
)

type (
	good   struct{}
	keyless struct{}
	pointer struct{}
)

func (good) EventType() string     { return "a.good" }
func (good) EventKey() string      { return "" }
func (keyless) EventType() string  { return "a.keyless" }
func (*pointer) EventType() string { return "a.pointer" }
func (*pointer) EventKey() string  { return "" }

func on[E any](context.Context, E) (bus.Events, error) { return nil, nil }

func wire(m *bus.Module) {
	m.Emits(keyless{})                 // missing method EventKey
	m.Emits(pointer{})                 // method EventKey has pointer receiver
	m.Emits(good)                      // good (type) is not an expression
	bus.On(m, "x", on[keyless])        // missing method EventKey
	bus.On(m, "x", func(good) error { return nil }) // does not match func(ctx context.Context, e E) (bus.Events, error)
	bus.On(m, "x", on[good]).When(func(pointer) bool { return true }) // as func(e good) bool value
	bus.OnEach(m, "x", on[good])       // does not implement bus.anyCase
	bus.On(m, "x", on[good]).Retry(3)  // as bus.Retry value
}

func work(ctx context.Context, m *bus.Module) (bus.Events, error) {
	bus.Tx(ctx).Commit()               // bus.Tx(ctx).Commit undefined
	defer bus.Tx(ctx).Rollback()       // bus.Tx(ctx).Rollback undefined
	insert(bus.Tx(ctx))                // need type assertion
	m.Do(ctx, func(context.Context) error { return nil }) // as func(ctx context.Context) (bus.Events, error) value
	m.Publish(good{})                  // good does not implement context.Context
	_ = bus.Events{good{}}             // cannot use good{}
	return bus.Emit("good"), nil       // string does not implement bus.Event
}

func insert(*sql.Tx) {}
`

func TestCompilerMistakes(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "mistaken.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "bus", "internal", "mistaken", "mistaken.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{file: []byte(notCompiling), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", "-overlay", filepath.Join(dir, "overlay.json"), "./bus/internal/mistaken")
	build.Dir = root
	out, _ := build.CombinedOutput() // it fails
	said := map[string]string{}      // by the number of the line
	for line := range strings.Lines(string(out)) {
		if parts := strings.SplitN(line, ":", 4); len(parts) == 4 {
			said[parts[1]] += parts[3]
		}
	}
	n := 0
	for i, line := range strings.Split(notCompiling, "\n") {
		_, want, wrong := strings.Cut(line, " // ")
		number := fmt.Sprint(i + 1)
		if wrong {
			n++
		}
		if wrong != (said[number] != "") || !strings.Contains(said[number], want) {
			t.Errorf("line %d, %s\nthe compiler says %q", i+1, line, said[number])
		}
	}
	if n < 15 {
		t.Errorf("%d mistakes:\n%s", n, out)
	}
}
