package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWorldsAreJoinedBehindWhatTheyHaveInCommon(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ ours, theirs, want string }{
		"both went on":       {"a\nb\nc\n", "a\nb\nd\n", "a\nb\nc\nd\n"},
		"only ours":          {"a\nb\n", "a\n", "a\nb\n"},
		"only theirs":        {"a\n", "a\nb\n", "a\nb\n"},
		"lines, not letters": {"a\nab1\n", "a\nab2\n", "a\nab1\nab2\n"},
		"nothing of ours":    {"", "a\n", "a\n"},
		"torn off":           {"a\nb", "a\nc\nd", "a\nc\n"},
		"longer torn off":    {"a\nbbbbbbbb", "a\nc\n", "a\nc\n"},
	} {
		dir := t.TempDir()
		ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
		for path, text := range map[string]string{ours: c.ours, theirs: c.theirs} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := joinWorlds(theirs, ours); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(ours); string(got) != c.want {
			t.Errorf("%s: %q, want %q: %v", name, got, c.want, err)
		}
	}
}
