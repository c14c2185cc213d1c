package clitest

import "testing"

func TestDoubled(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "open x.db: sqlite: journal in use": "", "a: b\na: c": "",
		"sqlite: replay dead letters: sqlite: journal of an observer": "sqlite",
		"one\nopen x.db: open x.db: no such file":                     "open x.db",
	} {
		if got := doubled(text); got != want {
			t.Errorf("%q has %q twice, want %q", text, got, want)
		}
	}
}
