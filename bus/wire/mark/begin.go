package mark

import (
	"fmt"

	"github.com/troupebus/troupe/bus/journal"
)

// Position is a position in a topic.
type Position[P any] interface {
	comparable
	// After reports whether the position is behind other in the topic.
	After(other P) bool
	// Offset is the position for people.
	Offset() int64
}

// Known is what is known of a position when a process begins to read.
type Known[P Position[P]] struct {
	Where  string // the topic or a part of it, for people, such as "topic troupe.order, partition 3"
	Group  string // under which the carrier keeps the position
	Topic  string // the topic's identity; "" if it has none
	Oldest P      // the first position that there is

	Kept *P   // what the carrier keeps; nil for nothing
	Mark Mark // what goes with that
	Ours bool // Mark is there, and goes with Kept

	Noted   *P     // what the journal notes; nil for nothing
	NotedIn string // the identity of the topic that it is in
}

// Begin is where to begin to read, and what there is to say of that.
type Begin[P any] struct {
	From      P
	Trouble   string // what is wrong with the position; "" for nothing. It is told until somebody acknowledges it
	First     bool   // nobody has read before
	Forgotten bool   // the carrier has no position, and the journal has
}

// Begin decides where p begins to read for the journal of memory, which may be nil.
func (k Known[P]) Begin(p *Process, memory journal.Memory) Begin[P] {
	if k.Noted != nil && k.another(k.NotedIn) {
		return k.anew(*k.Noted)
	}
	back := k.Oldest // where the journal itself knows to have been
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
		return k.trouble(back, "the place of group %s, offset %d, is that of another journal, %s: read from %d",
			k.Group, at.Offset(), m.Journal, back.Offset())
	case bothKnown && !p.Wrote(m) && m.Head > p.Head(memory):
		return k.trouble(back, "this journal is older than the place of group %s, offset %d: it ends at seq %d, and had %d:"+
			" it is restored from a backup, or a copy. Read again from %d;"+
			" what people asked of it after the backup is on its own topics only",
			k.Group, at.Offset(), p.Head(memory), m.Head, back.Offset())
	case !k.Ours && k.Noted != nil && at.After(back):
		return k.trouble(at, "somebody set the place of group %s from offset %d to %d: what lies between is not read",
			k.Group, back.Offset(), at.Offset())
	}
	return Begin[P]{From: at}
}

// another reports whether id is known to be the identity of another topic than this.
func (k Known[P]) another(id string) bool { return id != "" && k.Topic != "" && id != k.Topic }

// anew is where to begin in a topic that was made anew since somebody was at a position in the former one.
func (k Known[P]) anew(was P) Begin[P] {
	return k.trouble(k.Oldest, "the topic was made anew since group %s read up to offset %d:"+
		" what of the old one was not read is gone; read from the oldest, %d", k.Group, was.Offset(), k.Oldest.Offset())
}

// trouble is to begin at from, and to say why.
func (k Known[P]) trouble(from P, format string, args ...any) Begin[P] {
	return Begin[P]{From: from, Trouble: k.Where + ": " + fmt.Sprintf(format, args...)}
}
