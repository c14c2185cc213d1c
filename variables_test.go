package troupe_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// A variable with the program's name that no setting has is not passed over in silence.
func TestUnknownVariableIsAWarning(t *testing.T) {
	t.Setenv("CLINIC_NONSENSE", "1")
	journal := filepath.Join(t.TempDir(), "clinic.db")
	for _, line := range []string{"book", "config"} {
		code, out := runClinic(t.Context(), soundClinic(), line, "--journal", journal)
		if code != 0 || !strings.Contains(out, "warning: CLINIC_NONSENSE: no setting has this variable") {
			t.Errorf("%s: code %d: %s", line, code, out)
		}
	}
	t.Setenv("CLINIC_JORNAL", "x.db")
	if code, out := runClinic(t.Context(), soundClinic(), "book", "--journal", journal); code != 2 || !strings.Contains(out, "did you mean CLINIC_JOURNAL?") {
		t.Errorf("code %d: %s", code, out)
	}
}
