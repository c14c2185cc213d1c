// Package probe asks troupe about settings, journals and foreign files whose right answers are known. The torture test
// uses the package while no process runs on the journal.
package probe

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/mattn/go-sqlite3" // the driver

	"github.com/troupebus/troupe/internal/torture/story"
)

// Troupe runs troupe with arguments to its end.
type Troupe func(args ...string) Answer

// Answer is the answer of a command.
type Answer struct {
	Out, Err string
	Code     int
}

// Settings runs troupe check with the settings files of a step CheckSettings, in the working folder of all commands. It
// returns an error about a wrong answer.
func Settings(folder string, s story.Step, troupe Troupe) error {
	args := []string{"check", "--json"}
	for i, text := range s.Args {
		path := filepath.Join(folder, fmt.Sprintf("settings-%d.yaml", i))
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, story.Here, folder)), 0o600); err != nil {
			return err
		}
		args = append(args, path)
	}
	a := troupe(args...)
	var report struct{ Wrong, Warnings []struct{ What string } }
	if err := json.Unmarshal([]byte(a.Out), &report); err != nil {
		return fmt.Errorf("troupe check prints no report: %w: %s", err, a.Err)
	}
	is := ""
	switch {
	case len(report.Wrong) == 1 && strings.Contains(report.Wrong[0].What, "do not meet"):
		is = story.Apart
	case len(report.Wrong) > 0:
		is = "wrong"
	case len(report.Warnings) > 0:
		is = story.Clash
	}
	if is != s.Mood {
		return fmt.Errorf("troupe check says %q about settings whose relation is %q: %s", is, s.Mood, a.Out)
	}
	return nil
}

// Split runs troupe split --check after the statements of a step CheckSplit, and undoes the statements. It returns an
// error about a wrong answer.
func Split(ctx context.Context, journal string, s story.Step, troupe Troupe) (err error) {
	db, err := sql.Open("sqlite3", "file:"+journal+"?mode=rw&_busy_timeout=2000")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var before int
	if err := db.QueryRowContext(ctx, "SELECT max(rowid) FROM sqlite_schema").Scan(&before); err != nil {
		return err
	}
	for _, statement := range s.Args[2:] {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	a := troupe("split", "--check", "--modules", s.Args[0], "--journal", journal)
	if reports := strings.Contains(a.Out, s.Args[1]+" "); reports != (s.Mood == story.Tied) || reports && a.Code != 1 {
		err = fmt.Errorf("after %q, troupe split --check ends with exit code %d, and reports %s: %t: %s%s", s.Args[2:], a.Code, s.Args[1], reports, a.Out, a.Err)
	}
	return errors.Join(err, drop(ctx, db, before))
}

// drop drops the objects that were created after the object with rowid before, the newest first.
func drop(ctx context.Context, db *sql.DB, before int) error {
	for {
		var kind, name string
		err := db.QueryRowContext(ctx, "SELECT type, name FROM sqlite_schema WHERE rowid > ? ORDER BY rowid DESC", before).Scan(&kind, &name)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			_, err = db.ExecContext(ctx, `DROP `+kind+` "`+name+`"`)
		}
		if err != nil {
			return err
		}
	}
}
