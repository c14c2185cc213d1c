package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// flip runs the shop as one process without a transport, then as five over Kafka, then as one, and so on, while
// customers place orders.
func (f *faults) flip(t *testing.T) {
	f.MustOpen(t)
	one := f.shop.add(everything, "shop.db", "--seed", fmt.Sprint(f.seed%1000))
	f.shop.MustStart(t)
	f.customers.mustDeliver(t, f.seed)
	for round := range f.flips {
		f.underLoad(t, func() {
			f.mustTakeOrders(t)
			f.pause(3e9)
			f.shop.MustStop(t)
			f.mustSplit(t, one, round)
			f.mustTakeOrders(t)
			f.pause(3e9)
		})
		f.underLoad(t, func() {
			f.mustTakeOrders(t)
			f.shop.MustStop(t) // with events in flight
			f.mustMerge(t, one)
			f.mustTakeOrders(t)
			f.pause(3e9)
		})
	}
	t.Logf("from one process to five and back %d times", f.flips)
}

// mustSplit gives each module but the first a journal of its own, and starts all deployables.
func (f *faults) mustSplit(t *testing.T, one *deployable, round int) {
	t.Helper()
	parts := []*deployable{{shop: f.shop, modules: modulesOfShop[0], journal: one.journal, args: f.over(f.kafka.Address)}}
	for _, m := range modulesOfShop[1:] {
		d := &deployable{shop: f.shop, modules: m, journal: filepath.Join(f.shop.dir, fmt.Sprintf("%s-%d.db", m, round)), args: f.over(f.kafka.Address)}
		f.mustMove(t, "split", "--modules", m, "--journal", one.journal, "--into", d.journal)
		parts = append(parts, d)
	}
	for _, d := range parts {
		if d.modules == "payment" || d.modules == "shipping" { // a split does not move the world, but the world's file is beside the journal
			mustCopy(t, worldPath(one.journal), worldPath(d.journal))
		}
	}
	f.shop.deploy(parts...)
	f.shop.MustStart(t)
}

// mustMerge moves all modules back, and starts the single process.
func (f *faults) mustMerge(t *testing.T, one *deployable) {
	t.Helper()
	was := mustRead(t, worldPath(one.journal))
	now := slices.Clone(was)
	for _, d := range f.shop.all[1:] {
		f.mustMove(t, "merge", "--from", d.journal, "--journal", one.journal)
		if d.modules == "payment" || d.modules == "shipping" { // each world has added acts
			now = append(now, bytes.TrimPrefix(mustRead(t, worldPath(d.journal)), was)...)
		}
	}
	if err := os.WriteFile(worldPath(one.journal), now, 0o644); err != nil {
		t.Fatal(err)
	}
	f.shop.deploy(one)
	f.shop.MustStart(t)
}

func (f *faults) mustMove(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), f.binary, args...)
	cmd.Env = f.shop.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("troupe %v: %v\n%s", args, err, out)
	}
}

func mustCopy(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, mustRead(t, from), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return text
}
