package cli

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/inspect"
	"github.com/troupebus/troupe/internal/cli/moves"
)

func TestVerifyAJournalWithoutAShop(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	wantOutput(t, MustRunCommand(t, audit.NewVerifyCmd, "--journal", p.path), 0, "not checked: only its own program knows them", "3 events", "2 dead letters; next: troupe dlq list --journal "+p.path)
	p.stop()
	MustChange(t, p.path, "DELETE FROM dead_letters WHERE id = 1")
	wantOutput(t, MustRunCommand(t, audit.NewVerifyCmd, "--journal", p.path), console.ExitWrong, "there is no dead letter of it", "1 wrong")
}

// A journal from before programs had names is told by its modules.
func TestCommandsOnAJournalWithoutAProgram(t *testing.T) {
	p := MustHaveDeadLetters(t)
	p.stop()
	wantOutput(t, MustRunCommand(t, newRunCmd, "--journal", p.path, "--http", "127.0.0.1:0"), console.ExitWrong, "modules that troupe does not have (post)")
	wantOutput(t, MustRunCommand(t, audit.NewVerifyCmd, "--journal", p.path), 0, "only its own program knows them", "the journal adds up")
	wantOutput(t, MustRunCommand(t, moves.NewSplitCmd, "--check", "--journal", p.path), console.ExitWrong, "does not have the declarations of its modules")
}

// The commands say of a copy that lacks the log that the newest events are missing.
func TestReadATornCopy(t *testing.T) {
	t.Parallel()
	p := MustHaveDeadLetters(t)
	p.stop()
	db, err := sql.Open("sqlite3", p.path)
	if err != nil {
		t.Fatal(err)
	}
	var schema int
	if err = db.QueryRow("PRAGMA schema_version").Scan(&schema); err == nil { // the mark of another file
		_, err = db.Exec(fmt.Sprintf("PRAGMA user_version = %d", 1<<16|schema&0xffff))
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, MustRunCommand(t, audit.NewVerifyCmd, "--journal", p.path), console.ExitWrong, "the newest events are missing", "1 wrong")
	for _, ran := range []ranCommand{
		MustRunCommand(t, inspect.NewDLQCmd, "list", "--journal", p.path),
		MustRunCommand(t, inspect.NewDLQCmd, "show", "1", "--journal", p.path),
		MustRunCommand(t, inspect.NewTraceCmd, "f1", "--journal", p.path),
		MustRunCommand(t, inspect.NewEventsCmd, "--journal", p.path),
	} {
		if ran.err != nil || strings.Count(ran.stderr, "warning: ") != 1 || !strings.Contains(ran.stderr, "the newest events are missing") {
			t.Errorf("%v, %s", ran.err, ran.stderr)
		}
	}
}
