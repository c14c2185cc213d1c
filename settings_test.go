package troupe_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupebus/troupe"
)

// Own settings are flags of own commands, too. A flag of the command itself is left alone.
func TestOwnSettingsAreFlagsOfOwnCommands(t *testing.T) {
	t.Parallel()
	var settings struct {
		URL   string        `setting:"insurer.url" default:"https://default" help:"address of the insurer"`
		Pause time.Duration `setting:"pause" default:"1s" help:"pause between two calls"`
		Key   troupe.Secret `setting:"insurer.key" help:"key to the API of the insurer"`
	}
	var got, pause string
	a := soundClinic()
	a.Settings = &settings
	a.Commands[0].Flags = func(f *flag.FlagSet) { f.StringVar(&pause, "pause", "short", "of the command") }
	a.Commands[0].Run = func(context.Context, *troupe.Call[Desk]) error {
		got = settings.URL + " " + settings.Pause.String() + " " + pause
		return nil
	}
	journal := filepath.Join(t.TempDir(), "clinic.db")
	file := filepath.Join(t.TempDir(), "some.yaml")
	if err := os.WriteFile(file, []byte("insurer: {url: 'https://file'}\npause: 2s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"":                           "https://default 1s short",
		"--insurer-url https://flag": "https://flag 1s short",
		"--pause long":               "https://default 1s long",
		"--config " + file:           "https://file 2s short",
		"--config " + file + " --insurer-url https://flag": "https://flag 2s short",
	} {
		code, out := runClinic(t.Context(), a, append([]string{"book", "--journal", journal}, strings.Fields(line)...)...)
		if code != 0 || got != want {
			t.Errorf("book %s: settings %q, want %q: code %d: %s", line, got, want, code, out)
		}
	}
	for line, want := range map[string]string{
		"--insurer-key secret": "CLINIC_INSURER_KEY", "--transport kafka": "unknown flag", "--insurer-urls x": "unknown flag",
	} {
		code, out := runClinic(t.Context(), a, append([]string{"book", "--journal", journal}, strings.Fields(line)...)...)
		if code != 2 || !strings.Contains(out, want) {
			t.Errorf("book %s: code %d: %s", line, code, out)
		}
	}
	if _, out := runClinic(t.Context(), a, "help", "book"); !strings.Contains(out, "address of the insurer") {
		t.Errorf("the help of book has no flag of a setting:\n%s", out)
	}
}

// checkedSettings are refused for an address that is no https.
type checkedSettings struct {
	URL string `setting:"insurer.url" default:"https://default" help:"address of the insurer"`
}

func (s *checkedSettings) Validate() error {
	if !strings.HasPrefix(s.URL, "https://") {
		return errors.New("insurer.url wants https")
	}
	return nil
}

// An own command that runs the modules refuses the settings that run refuses.
func TestOwnCommandsValidateSettings(t *testing.T) {
	t.Parallel()
	a := soundClinic()
	a.Settings = &checkedSettings{}
	ran := false
	a.Commands[0].Run = func(context.Context, *troupe.Call[Desk]) error { ran = true; return nil }
	journal := filepath.Join(t.TempDir(), "clinic.db")
	code, out := runClinic(t.Context(), a, "book", "--journal", journal, "--insurer-url", "ftp://x")
	if code == 0 || ran || !strings.Contains(out, "insurer.url wants https") {
		t.Errorf("code %d, ran %v: %s", code, ran, out)
	}
}
