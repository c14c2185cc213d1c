package retail

import (
	"errors"
	"fmt"
	"strings"
)

var (
	errOpenQuote  = errors.New("a quoted field is not closed")
	errStrayQuote = errors.New(`a quote stands inside a field: a field that contains quotes is written "like ""this"""`)
)

// lineEnds makes one of the three that files have: LF, CRLF, and CR alone.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// physicalLines cuts text at its line ends, of whatever kind, and drops a byte order mark.
func physicalLines(text string) []string {
	return strings.Split(lineEnds.Replace(strings.TrimPrefix(text, "\uFEFF")), "\n")
}

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

// recordAt reads the record of width fields that begins with the first of lines, and says how many lines it takes.
//
// An open quote is followed to the line that can close it. Only a line with an odd number of quotes can, and a whole
// record has an even one. So each line is looked at from one open quote at most, and no input makes this quadratic.
func recordAt(lines []string, width int) (fields []string, used int, err error) {
	fields, err = splitRecord(lines[0], width)
	if !errors.Is(err, errOpenQuote) {
		return fields, 1, err
	}
	for n, line := range lines[1:] {
		if strings.Count(line, `"`)%2 == 1 {
			if fields, inner := splitRecord(strings.Join(lines[:n+2], "\n"), width); inner == nil {
				return fields, n + 2, nil
			}
			break
		}
		if _, inner := splitRecord(line, width); inner == nil {
			break
		}
	}
	return nil, 1, err
}

// splitRecord cuts one record into its fields, of which there must be width.
func splitRecord(record string, width int) ([]string, error) {
	fields, err := split(record)
	if err == nil && len(fields) != width {
		err = fmt.Errorf("%d fields where the header has %d", len(fields), width)
	}
	return fields, err
}

// split cuts one record into its fields by the rules of RFC 4180.
func split(record string) ([]string, error) {
	var fields []string
	for {
		var field string
		var err error
		if strings.HasPrefix(record, `"`) {
			field, record, err = cutQuoted(record[1:])
		} else {
			field, record, err = cutPlain(record)
		}
		if err != nil {
			return nil, err
		}
		fields = append(fields, field)
		if record == "" {
			return fields, nil
		}
		record = record[1:]
	}
}

// cutPlain takes an unquoted field. The rest is empty or begins with the comma after it.
func cutPlain(s string) (field, rest string, err error) {
	i := strings.IndexAny(s, `,"`)
	switch {
	case i < 0:
		return s, "", nil
	case s[i] == '"':
		return "", "", errStrayQuote
	}
	return s[:i], s[i:], nil
}

// cutQuoted takes a field whose opening quote is gone. The rest is empty or begins with the comma after it.
func cutQuoted(s string) (field, rest string, err error) {
	for end := 0; ; end += 2 { // past a doubled quote
		i := strings.IndexByte(s[end:], '"')
		if i < 0 {
			return "", "", errOpenQuote
		}
		end += i
		switch rest := s[end+1:]; {
		case rest == "" || rest[0] == ',':
			return strings.ReplaceAll(s[:end], `""`, `"`), rest, nil
		case rest[0] != '"':
			return "", "", errStrayQuote
		}
	}
}
