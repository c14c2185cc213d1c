package cli

import (
	"context"

	"github.com/troupebus/troupe/transports/sqlite/move"
)

// listLeftovers prints the files that moves have left beside a journal.
func listLeftovers(ctx context.Context, o *options, journal string) error {
	found, err := move.Leftovers(ctx, journal)
	if err != nil {
		return err
	}
	if o.json {
		if found == nil {
			found = []move.Leftover{}
		}
		return o.printJSON(found)
	}
	p := &printer{o: o}
	if len(found) == 0 {
		p.Line("no move has left anything beside %s", printable(journal))
	}
	for _, l := range found {
		p.Line("%s  %s bytes", printable(l.Path), thousands(l.Bytes))
		p.Line("        what: %s", printable(l.What))
		p.Line("        do:   %s", printable(l.Do))
	}
	return p.err
}
