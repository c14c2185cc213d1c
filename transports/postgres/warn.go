package postgres

// The kinds of warnings about a topic that works.
const (
	noMark       = "mark"
	noClaim      = "claim"
	olderJournal = "older"
)

// warnUnmarked warns about a topic with a table that lacks the column for marks, because this role may not add the
// column.
func (t *Transport) warnUnmarked(tb tables, marked bool) {
	text := ""
	if !marked {
		text = "table " + tb.offsets + " has no column for marks: a journal that is restored from a backup is not noticed," +
			" and what came after the backup is not read again: have it made with: " + addColumn(tb.offsets, markColumn)
	}
	t.warned.Set(tb.topic, noMark, text)
}
