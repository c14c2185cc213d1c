package postgres

// The kinds of warnings about a topic that works.
const (
	noMark       = "mark"
	noClaim      = "claim"
	olderJournal = "older"
)

// warnUnmarked warns of a topic whose places have no marks, where nobody could add the column.
func (t *Transport) warnUnmarked(tb tables, marked bool) {
	text := ""
	if !marked {
		text = "table " + tb.offsets + " has no column for marks: a journal that is restored from a backup is not noticed," +
			" and what came after the backup is not read again: have it made with: " + addColumn(tb.offsets, markColumn)
	}
	t.warned.Set(tb.topic, noMark, text)
}
