package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/config"
)

// MustWriteSettings writes a file of settings, and returns its path.
func MustWriteSettings(tb testing.TB, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func TestConfigShowsWhatHoldsAndWhy(t *testing.T) {
	t.Parallel()
	file := MustWriteSettings(t, "transport: kafka\nkafka:\n  brokers: [h:1]\n  client-id: shop\n  tls: true\n  sasl-mechanism: PLAIN\n  sasl-user: ada\n  sasl-password: hunter2\n")
	environ := []string{"TROUPE_KAFKA_CLIENT_ID=other", "TROUPE_MODULES=order,payment"}
	run := func(o *console.Options, args ...string) {
		t.Helper()
		o.Program, o.Environ = shop(), environ
		cmd := newConfigCmd(o)
		cmd.SetArgs(append([]string{"--config", file}, args...))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var text strings.Builder
	run(&console.Options{Stdout: &text}, "--modules", "order")
	for _, want := range [][]string{
		{"name", "order", "default"}, {"modules", "order", "--modules"}, {"transport", "kafka", file + ":1"}, {"kafka.brokers", "h:1", file + ":3"},
		{"kafka.client-id", "other", "TROUPE_KAFKA_CLIENT_ID"}, {"kafka.sasl-password", "(set)", file + ":8"}, {"latency", "40ms", "default"},
	} {
		if !slices.ContainsFunc(strings.Split(text.String(), "\n"), func(line string) bool { return slices.Equal(strings.Fields(line), want) }) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}

	var out strings.Builder
	run(&console.Options{Stdout: &out, Json: true})
	var got struct {
		File     string
		Settings []config.Row
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.File != file || !slices.Contains(got.Settings, config.Row{Setting: "modules", Value: "order,payment", Source: "TROUPE_MODULES"}) ||
		!slices.Contains(got.Settings, config.Row{Setting: "kafka.sasl-password", Value: "(set)", Source: file + ":8", Secret: true}) {
		t.Errorf("printed %+v", got)
	}
	if strings.Contains(text.String()+out.String(), "hunter2") {
		t.Error("a password is printed")
	}
}

func TestConfigShowsWhatHoldsWhenSomethingIsWrong(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	cmd := newConfigCmd(&console.Options{Program: shop(), Stdout: &text, Environ: []string{"TROUPE_SEED=x"}})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"--latency", "5s", "--http", "8080"})
	err := cmd.ExecuteContext(t.Context())
	if console.ExitCode(err) != console.ExitUsage || !strings.Contains(err.Error(), "TROUPE_SEED") || !strings.Contains(err.Error(), "--http") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(text.String(), "5s") {
		t.Errorf("printed %q", text.String())
	}
}

// The environment and the working folder are those of the process.
func TestConfigLooksAround(t *testing.T) {
	t.Setenv("TROUPE_SEED", "42")
	t.Chdir(filepath.Dir(MustWriteSettings(t, "")))
	if err := os.WriteFile(shop().Config().DefaultFile(), []byte("latency: 3s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if code := Run(t.Context(), shop().Program, []string{"config"}, &text, &text); code != 0 {
		t.Fatalf("exit code %d: %s", code, text.String())
	}
	for _, want := range [][]string{{"seed", "42", "TROUPE_SEED"}, {"latency", "3s", shop().Config().DefaultFile() + ":1"}} {
		if !slices.ContainsFunc(strings.Split(text.String(), "\n"), func(line string) bool { return slices.Equal(strings.Fields(line), want) }) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

func TestModuleNamesAreThoseOfTheShop(t *testing.T) {
	t.Parallel()
	if got := shop().Modules(); !slices.Equal(got, []string{"inventory", "notification", "order", "payment", "shipping"}) {
		t.Errorf("modules %q", got)
	}
}
