package retail

import (
	"errors"
	"fmt"
	"strings"
)

var (
	errOpenQuote  = errors.New("a quoted field is not closed")
	errStrayQuote = errors.New(`a quote is inside a field: write a field with quotes "like ""this"""`)
)

// lineEnds replaces the three line ends of files, LF, CRLF and CR, with LF.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// physicalLines splits text at line ends of any kind, and drops a byte order mark.
func physicalLines(text string) []string {
	return strings.Split(lineEnds.Replace(strings.TrimPrefix(text, "\uFEFF")), "\n")
}

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

// recordAt reads the record of width fields that begins in lines[0], and returns the number of lines of the record.
//
// An open quote runs on to the next line that can close the quote. Only a line with an odd number of quotes can, and
// a whole record has an even number. So each line is read for at most one open quote, and no input takes quadratic
// time.
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

// splitRecord splits a record into fields, and checks that there are width fields.
func splitRecord(record string, width int) ([]string, error) {
	fields, err := split(record)
	if err == nil && len(fields) != width {
		err = fmt.Errorf("%d fields where the header has %d", len(fields), width)
	}
	return fields, err
}

// split splits a record into fields by RFC 4180.
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

// cutPlain cuts an unquoted field off. The rest is empty or begins with the comma after the field.
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

// cutQuoted cuts a field off, after its opening quote. The rest is empty or begins with the comma after the field.
func cutQuoted(s string) (field, rest string, err error) {
	for end := 0; ; end += 2 { // skip a doubled quote
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
