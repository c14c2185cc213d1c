package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// moves has the moves of modules of a shop in a folder.
type moves struct{ folder string }

// MustMakeMoves creates a shop. Settings, if given, go into the environment.
func MustMakeMoves(tb testing.TB, settings string) *moves {
	tb.Helper()
	m := &moves{folder: tb.TempDir()}
	MustReport(tb, "demo", "--orders", "5", "--journal", m.at("shop.db"), "--json")
	if settings != "" {
		file := m.at("troupe.yaml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(settings, "FOLDER", m.folder)), 0o600); err != nil {
			tb.Fatal(err)
		}
		tb.Setenv("TROUPE_CONFIG", file)
	}
	return m
}

func (m *moves) at(name string) string { return filepath.Join(m.folder, name) }

// mustMove returns the lines with the next commands. Each run command must be valid.
func (m *moves) mustMove(tb testing.TB, command string, args ...string) []string {
	tb.Helper()
	got := MustRunCommand(tb, command, append(args, "--journal", m.at("shop.db"), "--no-backup")...)
	wantOutput(tb, got, 0)
	_, next, _ := strings.Cut(got.stdout, "\nnext: ")
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(next, m.folder+"/", "")), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
		if flags, ok := strings.CutPrefix(lines[i], "troupe run"); ok {
			ran := MustRunCommand(tb, "config", strings.Fields(flags)...)
			wantOutput(tb, ran, 0)
		}
	}
	return lines
}

func (m *moves) mustSplit(tb testing.TB, module, into string) []string {
	tb.Helper()
	return m.mustMove(tb, "split", "--modules", module, "--into", m.at(into))
}

func wantLines(tb testing.TB, got []string, want ...string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("next is\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestNextAfterMoves names the modules that each journal has after the move, not before.
func TestNextAfterMoves(t *testing.T) {
	t.Parallel()
	m := MustMakeMoves(t, "")
	const kafka = " --transport kafka --brokers 127.0.0.1:9092"
	wantLines(t, m.mustSplit(t, "payment", "payment.db"),
		"troupe run --modules payment"+kafka+" --http 127.0.0.1:0 --journal payment.db",
		"troupe run --modules inventory,notification,order,shipping"+kafka+" --journal shop.db")
	wantLines(t, m.mustSplit(t, "shipping", "shipping.db"),
		"troupe run --modules shipping"+kafka+" --http 127.0.0.1:0 --journal shipping.db",
		"troupe run --modules inventory,notification,order"+kafka+" --journal shop.db")
	wantLines(t, m.mustMove(t, "merge", "--from", m.at("payment.db")),
		"troupe run --modules inventory,notification,order,payment"+kafka+" --journal shop.db", "payment.db can be removed")
	wantLines(t, m.mustMove(t, "merge", "--from", m.at("shipping.db")),
		"troupe run --journal shop.db", "shipping.db can be removed")
}

// TestNextAfterMovesOfDeployables names the deployables of the file: flags would not be accepted beside it.
func TestNextAfterMovesOfDeployables(t *testing.T) {
	m := MustMakeMoves(t, `
transport: kafka
kafka: {brokers: ["127.0.0.1:19094"]}
deployables:
  front: {modules: [order, inventory, notification], journal: FOLDER/shop.db}
  money: {modules: [payment], journal: FOLDER/payment.db}
  parcels: {name: the-parcels, modules: [shipping], journal: FOLDER/shipping.db}
`)
	change := func(modules string) string {
		return "add a deployable to troupe.yaml that runs " + modules + " on shop.db, then troupe run --deployable NAME --journal shop.db"
	}
	wantLines(t, m.mustSplit(t, "payment", "payment.db"), "troupe run --deployable money", change("inventory, notification, order, shipping"))
	wantLines(t, m.mustSplit(t, "shipping", "ship.db"), "troupe run --deployable parcels --journal ship.db", "troupe run --deployable front")
	wantLines(t, m.mustMove(t, "merge", "--from", m.at("payment.db")), change("inventory, notification, order, payment"), "payment.db can be removed")
}

// TestNextAfterMovesOfSettings leaves out the settings that a file for one deployable has already, and overrides the
// settings that are no longer right.
func TestNextAfterMovesOfSettings(t *testing.T) {
	m := MustMakeMoves(t, "modules: [inventory, notification, order, shipping]\ntransport: kafka\nkafka: {brokers: ['127.0.0.1:19094']}\n")
	wantLines(t, m.mustSplit(t, "payment", "payment.db"),
		"troupe run --modules payment --http 127.0.0.1:0 --journal payment.db", "troupe run --journal shop.db")
	wantLines(t, m.mustMove(t, "merge", "--from", m.at("payment.db")), "troupe run --modules all --journal shop.db", "payment.db can be removed")
}
