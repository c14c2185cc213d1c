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
			" and later events are not read again: add the column with: " + addColumn(tb.offsets, markColumn)
	}
	t.warned.Set(tb.topic, noMark, text)
}
