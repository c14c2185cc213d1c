package troupe_test

import (
	"strings"
	"testing"
)

func TestHelpOnAnUnknownCommand(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"help nosuch", "help dlq nosuch", "help book nosuch", "nosuch"} {
		code, out := runClinic(t.Context(), soundClinic(), strings.Fields(line)...)
		if code != 2 || !strings.Contains(out, "unknown command") || !strings.Contains(out, "nosuch") || !strings.Contains(out, "clinic --help") {
			t.Errorf("%s: code %d: %s", line, code, out)
		}
	}
	for line, want := range map[string]string{
		"verfiy --journal x.db":      "unknown command \"verfiy\": did you mean verify?\nsee 'clinic --help'",
		"dlq lst --status dead":      "unknown command \"lst\": did you mean list?\nsee 'clinic dlq --help'",
		"verify shop.db":             "verify takes no arguments: name the journal with --journal shop.db\n",
		"verify x.db --journal y.db": "verify takes no arguments\n",
		"broker now":                 "broker takes no arguments\n",
	} {
		if code, out := runClinic(t.Context(), soundClinic(), strings.Fields(line)...); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%s: code %d: %s", line, code, out)
		}
	}
	for line, want := range map[string]string{
		"help": "Available Commands", "help dlq": "clinic dlq [command]", "help dlq show": "clinic dlq show ID", "help book": "clinic book", "help help": "Help",
	} {
		if code, out := runClinic(t.Context(), soundClinic(), strings.Fields(line)...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: code %d: %s", line, code, out)
		}
	}
}
