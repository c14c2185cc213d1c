package mark

import (
	"fmt"

	"github.com/troupebus/troupe/bus/journal"
)

// Position is a position in a topic.
type Position[P any] interface {
	comparable
	// After reports whether the position is after other.
	After(other P) bool
	// Offset returns the position as a number for display.
	Offset() int64
}

// Known is the knowledge about a position when a process begins to read.
type Known[P Position[P]] struct {
	Where  string // the topic or partition for display, such as "topic troupe.order, partition 3"
	Group  string // the name under which the backend stores the position
	Topic  string // identity of the topic; "" if unknown
	Oldest P      // position of the oldest message

	Kept *P   // the position in the backend; nil without a position
	Mark Mark // the mark of Kept
	Ours bool // Mark exists and belongs to Kept

	Noted   *P     // the position in the journal; nil without a position
	NotedIn string // identity of the topic of Noted
}

// Begin is the position to read from, with the reasons.
type Begin[P any] struct {
	From      P
	Trouble   string // a problem with the position, "" without; reported at each start until acknowledged
	First     bool   // the topic was not read before
	Forgotten bool   // the journal has a position, but the backend has not
}

// Begin returns where p begins to read for the journal of memory, which may be nil.
func (k Known[P]) Begin(p *Process, memory journal.Memory) Begin[P] {
	if k.Noted != nil && k.another(k.NotedIn) {
		return k.anew(*k.Noted)
	}
	back := k.Oldest // the position that the journal itself knows, or the oldest
	if k.Noted != nil {
		back = *k.Noted
	}
	switch {
	case k.Kept == nil && k.Noted == nil:
		return Begin[P]{From: k.Oldest, First: true}
	case k.Kept == nil:
		return Begin[P]{From: back, Forgotten: true}
	case k.Ours && k.another(k.Mark.Topic):
		return k.anew(*k.Kept)
	}
	var mine string
	if memory != nil {
		mine = memory.ID()
	}
	bothKnown := k.Ours && k.Mark.Journal != "" && mine != ""
	at, m := *k.Kept, k.Mark
	switch {
	case bothKnown && m.Journal != mine:
		return k.trouble(back, "the position of group %s, offset %d, is that of another journal, %s: reading from %d",
			k.Group, at.Offset(), m.Journal, back.Offset())
	case bothKnown && !p.Wrote(m) && m.Head > p.Head(memory):
		return k.trouble(back, "this journal is older than the position of group %s, offset %d: it ends at seq %d, and had %d:"+
			" it is restored from a backup, or a copy. Reading again from %d;"+
			" requests from outside after the backup are lost here, and their events are on this journal's own topics only",
			k.Group, at.Offset(), p.Head(memory), m.Head, back.Offset())
	case !k.Ours && k.Noted != nil && at.After(back):
		return k.trouble(at, "an operator or another program set the position of group %s from offset %d to %d: the messages between are not read",
			k.Group, back.Offset(), at.Offset())
	}
	return Begin[P]{From: at}
}

// another reports whether id is known to be the identity of another topic.
func (k Known[P]) another(id string) bool { return id != "" && k.Topic != "" && id != k.Topic }

// anew returns where to begin in a topic that was deleted and created again, after the position was in the old topic.
func (k Known[P]) anew(before P) Begin[P] {
	return k.trouble(k.Oldest, "the topic was made anew since group %s read up to offset %d:"+
		" unread messages of the old topic are gone; reading from the oldest, %d", k.Group, before.Offset(), k.Oldest.Offset())
}

// trouble returns from as the beginning, with a reason.
func (k Known[P]) trouble(from P, format string, args ...any) Begin[P] {
	return Begin[P]{From: from, Trouble: k.Where + ": " + fmt.Sprintf(format, args...)}
}
