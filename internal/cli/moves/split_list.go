package moves

import (
	"context"

	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/transports/sqlite/move"
)

// listLeftovers prints the files that moves have left beside a journal.
func listLeftovers(ctx context.Context, o *console.Options, journal string) error {
	found, err := move.Leftovers(ctx, journal)
	if err != nil {
		return err
	}
	if o.Json {
		if found == nil {
			found = []move.Leftover{}
		}
		return o.PrintJSON(found)
	}
	p := &console.Printer{O: o}
	if len(found) == 0 {
		p.Line("no move has left anything beside %s", console.Printable(journal))
	}
	for _, l := range found {
		p.Line("%s  %s bytes", console.Printable(l.Path), thousands(l.Bytes))
		p.Line("        what: %s", console.Printable(l.What))
		p.Line("        do:   %s", console.Printable(l.Do))
	}
	return p.Err
}
