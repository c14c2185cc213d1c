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

// Proof compares the journals before and after a move.
type Proof struct {
	ID      string    `json:"id"`
	Act     string    `json:"act"`              // "split", "merge" or "undo"
	Undoes  string    `json:"undoes,omitempty"` // the act that an undo undid
	Modules []string  `json:"modules"`
	Journal string    `json:"journal"` // path of the journal that the modules left or entered
	Other   string    `json:"other"`   // path of the other journal
	At      time.Time `json:"at"`
	Backup  string    `json:"backup,omitempty"` // path of the copy of the journal, "" without a copy
	DryRun  bool      `json:"dry_run,omitempty"`
	Again   bool      `json:"again,omitempty"` // an earlier run made the move, this run did nothing
	Lines   []Line    `json:"lines"`
}

// Line compares the rows of one kind. Moved.Before has the rows to move in the file that they came from, Moved.After
// the moved rows in the file that they went to. Stayed has the other rows of the journal, before and after the move.
type Line struct {
	What   string `json:"what"`
	Moved  Pair   `json:"moved"`
	Stayed Pair   `json:"stayed"`
}

// Pair has the sums of rows before and after a move, which must be equal.
type Pair struct {
	Before Sum `json:"before"`
	After  Sum `json:"after"`
}

func (p Pair) holds() bool { return p.Before == p.After }

// Wrong describes each difference of the proof, sorted. It returns nil when the proof holds.
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

// check returns an error when the proof does not hold.
func (p *Proof) check() error {
	if wrong := p.Wrong(); len(wrong) > 0 {
		return fmt.Errorf("move: the rows before and after do not agree: %d differences, such as %s", len(wrong), wrong[0])
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

// record is the JSON of column proof in moves. Both journals keep a record of the move.
type record struct {
	Asks  string `json:"asks,omitempty"` // identity of the deciding journal; "" in that journal itself
	Path  string `json:"path"`           // of the journal with this record
	Proof *Proof `json:"proof"`
	// The inventory of the journal before, and of both journals after the move. Undo requires that neither has changed.
	Before     inventory.Inventory `json:"before"`
	After      inventory.Inventory `json:"after"`
	OtherAfter inventory.Inventory `json:"there"` // of the other journal after the move

	state string // of the row from which the record was read
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
	modules := dbfile.List(p.Modules)
	return f.Run(ctx, dbfile.Stmt(putMove, p.ID, p.At.UnixMicro(), p.Act, modules, other, state, string(proof)))
}

func newID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// part returns the path where the move builds the file for path.
func (p *Proof) part(path string) string { return dbfile.PartOf(path, p.ID) }

// Digest is the sum, modulo 2^256, of the SHA-256 of each row of a set. The digest does not depend on the order of the
// rows, and a row that is in the set twice does not cancel itself out. The digest of two disjoint sets together is the
// sum of their digests.
type Digest = dbfile.Digest

// Sum is the number of rows of a set, and their digest.
//
//	Rows   int64
//	Digest Digest
//	func (s Sum) Minus(o Sum) Sum
//	    Minus removes the rows of o, which must be among the rows of s.
//	func (s Sum) Plus(o Sum) Sum
//	    Plus adds the rows of o.
type Sum = dbfile.Sum
