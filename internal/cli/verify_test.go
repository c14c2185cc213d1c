package cli

import (
	"github.com/troupebus/troupe/internal/cli/audit"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/moves"
)

import "testing"

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
