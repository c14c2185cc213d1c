package inventory

import "testing"

func TestNamesIn(t *testing.T) {
	t.Parallel()
	const statement = "CREATE TRIGGER [a b] -- not payment_x\n AFTER INSERT ON \"say \"\"so\"\"\" /* nor payment_y */ " +
		"BEGIN INSERT INTO payment_$z SELECT `c d`, 'it''s' FROM größe; END"
	got := namesIn(statement)
	for _, name := range []string{"a b", `say "so"`, "PAYMENT_$Z", "c d", "it's", "größe", "after"} {
		if !mentions(statement, name) {
			t.Errorf("%s is not found in %q", name, got)
		}
	}
	for _, name := range []string{"payment_x", "payment_y", "payment_", "a", "so", "GRÖSSE"} {
		if mentions(statement, name) {
			t.Errorf("%s is found in %q", name, got)
		}
	}
	for _, s := range []string{`"`, "'a", "[b", "/*", "--", "``", `""""`, ""} {
		namesIn(s) // ends
	}
}
