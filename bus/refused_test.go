package bus_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/transports/sqlite"
)

// A program that is older in one module and newer in another is refused, and has not locked out the right one.
func TestARefusedProgramLocksNobodyOut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	run := func(alpha, zeta fstest.MapFS) error {
		j, err := sqlite.Open(t.Context(), path, sqlite.Config{Synchronous: "off"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = j.Close() }()
		b := bus.New(j, bus.Config{})
		b.Module("alpha").Migrations(alpha)
		b.Module("zeta").Migrations(zeta)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		select {
		case err := <-ended:
			stop()
			return err
		case <-b.Running():
		}
		if err := b.Ready(); err != nil {
			t.Errorf("a bus that runs: %v", err)
		}
		stop()
		err = <-ended
		if ready := b.Ready(); !errors.Is(ready, bus.ErrNotRunning) {
			t.Errorf("a bus that has ended: %v", ready)
		}
		return err
	}
	one, two := file("CREATE TABLE alpha_a (x)"), file("CREATE TABLE alpha_b (x)")
	zeta := fstest.MapFS{"0001.sql": file("CREATE TABLE zeta_a (x)"), "0002.sql": file("CREATE TABLE zeta_b (x)")}
	right := fstest.MapFS{"0001.sql": one}
	if err := run(right, zeta); err != nil {
		t.Fatal(err)
	}
	err := run(fstest.MapFS{"0001.sql": one, "0002.sql": two}, fstest.MapFS{"0001.sql": zeta["0001.sql"]})
	if !errors.Is(err, sqlite.ErrNewer) {
		t.Fatalf("the other program: %v, want ErrNewer", err)
	}
	if err := run(right, zeta); err != nil {
		t.Errorf("the right program, afterwards: %v", err)
	}
}
