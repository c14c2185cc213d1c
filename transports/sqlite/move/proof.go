package move

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/troupebus/troupe/transports/sqlite/move/internal/dbfile"
	"github.com/troupebus/troupe/transports/sqlite/move/internal/inventory"
)

// Proof is what a move did, counted before and after.
type Proof struct {
	ID      string    `json:"id"`
	Act     string    `json:"act"`              // "split", "merge" or "undo"
	Undoes  string    `json:"undoes,omitempty"` // with "undo": the act
	Modules []string  `json:"modules"`
	Journal string    `json:"journal"` // path of the journal that the modules left, or came to
	Other   string    `json:"other"`   // path of the one that they went to, or came from
	At      time.Time `json:"at"`
	Backup  string    `json:"backup,omitempty"` // path of the journal as it was; "" when there is none
	DryRun  bool      `json:"dry_run,omitempty"`
	Again   bool      `json:"again,omitempty"` // it had taken place before, and nothing was done now
	Lines   []Line    `json:"lines"`
}

// Line compares one kind of rows. Moved before are the rows that were to move, or to be merged, in the file that they came from;
// after, those in the file that they went to. Stayed is what the journal had that did not move, before and after.
type Line struct {
	What   string `json:"what"`
	Moved  Pair   `json:"moved"`
	Stayed Pair   `json:"stayed"`
}

// Pair is what there should be and what there is.
type Pair struct {
	Before Sum `json:"before"`
	After  Sum `json:"after"`
}

func (p Pair) holds() bool { return p.Before == p.After }

// Wrong says what is not after as it was before; nil when all is.
func (p *Proof) Wrong() (wrong []string) {
	for _, l := range p.Lines {
		for what, pair := range map[string]Pair{"moved": l.Moved, "stayed": l.Stayed} {
			if !pair.holds() {
				wrong = append(wrong, fmt.Sprintf("%s that %s: %d rows (%.12s) before, %d (%.12s) after", l.What, what,
					pair.Before.Rows, pair.Before.Digest, pair.After.Rows, pair.After.Digest))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// check is an error when the proof does not hold.
func (p *Proof) check() error {
	if wrong := p.Wrong(); len(wrong) > 0 {
		return fmt.Errorf("move: the proof does not hold: %d differences, such as %s", len(wrong), wrong[0])
	}
	return nil
}

// compare fills the lines of the proof.
func (p *Proof) compare(moved, stayed [2]inventory.Part) {
	names := map[string]bool{}
	for _, s := range []inventory.Part{moved[0], moved[1], stayed[0], stayed[1]} {
		for name := range s {
			names[name] = true
		}
	}
	p.Lines = p.Lines[:0]
	for name := range names {
		l := Line{name, Pair{moved[0][name], moved[1][name]}, Pair{stayed[0][name], stayed[1][name]}}
		if l != (Line{What: name}) {
			p.Lines = append(p.Lines, l)
		}
	}
	rank := func(l Line) int {
		if l.What == inventory.Events {
			return 0
		}
		return 1
	}
	slices.SortFunc(p.Lines, func(a, b Line) int { return cmp.Or(rank(a)-rank(b), cmp.Compare(a.What, b.What)) })
}

// record is what both journals keep of a move, as the proof of its row in moves.
type record struct {
	Asks  string `json:"asks,omitempty"` // in the half that does not decide: the identity of the journal that does
	Path  string `json:"path"`           // of the journal that the record is in
	Proof *Proof `json:"proof"`
	// What there was in the journal before, and in both after: undoing needs that nothing has changed since.
	Before inventory.Inventory `json:"before"`
	After  inventory.Inventory `json:"after"`
	There  inventory.Inventory `json:"there"` // in the other one, after

	state string // of the row that it was read from
}

const putMove = `
INSERT INTO main.moves (id, at, act, modules, other, state, proof) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET act = excluded.act, state = excluded.state, proof = excluded.proof`

// put writes the row of the move into f.
func (r record) put(ctx context.Context, f *dbfile.File, other, state string) error {
	proof, err := json.Marshal(r)
	if err != nil {
		return err
	}
	p := r.Proof
	return f.Run(ctx, dbfile.Stmt(putMove, p.ID, p.At.UnixMicro(), p.Act, dbfile.List(p.Modules), other, state, string(proof)))
}

func newID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// part is where the file at path is built.
func (p *Proof) part(path string) string { return dbfile.PartOf(path, p.ID) }

// Digest is the sum, modulo 2^256, of the SHA-256 of each of a number of rows. It does not depend on their order, and a row that
// is there twice does not cancel itself out. The digest of two sets that have nothing in common is the sum of theirs.
type Digest = dbfile.Digest

// Sum is how many rows there are (Rows), and their digest (Digest).
type Sum = dbfile.Sum
