package config

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a settings file and of messages about the file.
const (
	maxFile        = 1 << 20 // bytes
	maxSecretFile  = 64 << 10
	maxDeployables = 1000 // compared by Check
	maxWord        = 64   // bytes of a word for nearest
	maxMistakes    = 100  // reported of a file
	maxShown       = 200  // characters of a text in a message
)

// readAtMost returns the contents of a file, and an error for a file of more than most bytes.
func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("is larger than %d KiB, which is too much for settings", most>>10)
	}
	return data, err
}

// shown returns s for a message: cut to maxShown characters, and quoted if s has control characters.
func shown(s string) string {
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "…"
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
		return strconv.Quote(s)
	}
	return s
}

// isControl reports whether r can do more to a terminal than be shown or end a line.
func isControl(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }

// quoted returns s in quotes, cut to maxShown characters.
func quoted(s string) string {
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "…"
	}
	return strconv.Quote(s)
}

// inMessage returns args with shown applied to every text.
func inMessage(args []any) []any {
	short := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			short[i] = shown(a)
		case fmt.Stringer:
			short[i] = shown(a.String())
		default:
			short[i] = a
		}
	}
	return short
}
