package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What is looked at of a file. Whoever needs more has written something else than settings.
const (
	maxFile        = 1 << 20 // bytes
	maxSecretFile  = 64 << 10
	maxDeployables = 1000 // that are held against each other
	maxItems       = 1000 // of a list
	maxWord        = 64   // bytes of a word to which the nearest known one is looked for
	maxMistakes    = 100  // that are listed of one file
	maxShown       = 200  // characters of a text in a message
)

// readAtMost reads a file of up to most bytes.
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

// shown is s as it can stand in a message: not too long, and without characters that do something to a terminal.
func shown(s string) string {
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "…"
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// quoted is s in quotes, and not too long.
func quoted(s string) string {
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "…"
	}
	return strconv.Quote(s)
}

// errMany is what is wanted instead of a list that is too long.
var errMany = errors.New("want at most " + strconv.Itoa(maxItems) + " of them")

// inMessage are args for a message, each as it can stand in one.
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
