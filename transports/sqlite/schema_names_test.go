package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
)

// A table without its module's prefix would be left behind by a split, and nobody would be told.
func TestMigrationsMakeOnlyWhatIsTheirModules(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	j := mustOpen(t, path)
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	mustMigrate(t, j, "other", files("0001.sql", "CREATE TABLE other_t (x); CREATE INDEX other_x ON other_t (x)"))
	for name, tt := range map[string]struct{ text, want string }{
		"table":           {"CREATE TABLE claims_audit (x)", "it makes table claims_audit, which belongs to no module: the name of each table and view begins with m_"},
		"view":            {"CREATE TABLE m_t (x); CREATE VIEW claims AS SELECT x FROM m_t", "it makes view claims"},
		"index elsewhere": {"CREATE INDEX m_i ON other_t (x)", "it makes index m_i"},
		"journal's":       {"CREATE TRIGGER m_g AFTER INSERT ON events BEGIN SELECT 1; END", "the table events is the journal's"},
		"renamed":         {"CREATE TABLE m_t (x); ALTER TABLE m_t RENAME TO claims", "it makes table claims"},
		"changed":         {"ALTER TABLE other_t ADD COLUMN y", "it changes table other_t, which is not of module m"},
		"dropped":         {"DROP INDEX other_x", "it drops index other_x, which is not of module m"},
	} {
		err := j.Migrate(t.Context(), "m", files("0001.sql", tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "0001.sql of m") {
			t.Errorf("%s: Migrate says %v, want %q", name, err, tt.want)
		}
	}
	mustMigrate(t, j, "m", files("0001.sql", `
CREATE TABLE M_t (x PRIMARY KEY, y UNIQUE); CREATE INDEX any_name ON m_t (y); CREATE VIEW m_v AS SELECT x FROM m_t;
CREATE TRIGGER any_trigger AFTER INSERT ON m_t BEGIN DELETE FROM m_t WHERE y = 1; END; CREATE TABLE m_tmp (x); DROP TABLE m_tmp`))
}
