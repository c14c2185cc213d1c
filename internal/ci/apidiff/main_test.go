package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	promised = "// Package bus is small.\n//\n// Package bus is a promise: no minor version breaks a\n// program.\npackage bus\n"
	seam     = "// Package wire is a seam: a minor version may change the package.\npackage wire\n"
)

func TestCheck(t *testing.T) {
	root := t.TempDir()
	t.Setenv("GOFLAGS", "-mod=mod")
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com"}, args...)
		if _, err := run(root, nil, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	want := func(broken bool, lines ...string) {
		t.Helper()
		var out strings.Builder
		got, err := check(root, &out)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(out.String(), "NOT CHECKED") && !strings.Contains(out.String(), "no tag") {
			t.Skip(out.String())
		}
		if text := strings.TrimSpace(out.String()); got != broken || text != strings.Join(lines, "\n") {
			t.Errorf("check prints, with %v:\n%s\nwant %v:\n%s", got, text, broken, strings.Join(lines, "\n"))
		}
	}
	write("go.mod", "module example.com/m\n\ngo 1.26\n")
	write("bus/bus.go", promised+"func Emit() {}\n")
	write("wire/wire.go", seam+"type Transport interface{ Send() }\n")
	write("domain/order.go", "package domain\n\nfunc Place() {}\n")
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "first")
	want(false, "NOT CHECKED: changes of the public packages: there is no tag to compare with")

	git("tag", "v0.1.0")
	write("bus/more.go", "package bus\n\nfunc After() {}\n")
	write("domain/order.go", "package domain\n")
	want(false)

	write("wire/wire.go", seam+"type Transport interface{ Send(); Receive() }\n")
	want(false, "a seam differs from v0.1.0: ./wire.Transport.Receive: added")

	write("bus/bus.go", promised+"func Emit(int) {}\n")
	want(true,
		"breaks the promise of v0.1.0: ./bus.Emit: changed from func() to func(int)",
		"a seam differs from v0.1.0: ./wire.Transport.Receive: added")
	if err := os.RemoveAll(filepath.Join(root, "bus")); err != nil {
		t.Fatal(err)
	}
	want(true,
		"breaks the promise of v0.1.0: package example.com/m/bus: removed",
		"a seam differs from v0.1.0: ./wire.Transport.Receive: added")
}
