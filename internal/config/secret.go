package config

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/troupebus/troupe/internal/config/endpoint"
)

// Secret is a text that is not printed: fmt, log/slog and encoding/json write "(set)" for a Secret, or "" for an empty
// Secret. string(s) is the text. There are two exceptions: fmt prints a Secret in an unexported field of a struct, and
// encoding/json prints a Secret that is the key of a map.
type Secret string

// hidden is printed for a secret.
const hidden = "(set)"

// String returns "(set)", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format implements fmt.Formatter: every verb writes String.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText implements encoding.TextMarshaler, for XML and YAML: it returns String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements json.Marshaler: it returns String in quotes.
func (s Secret) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, s.String()), nil }

// readSecret returns the secret in a file, without a byte order mark and without the line end. Other white space at the
// beginning or the end is an error, because it is hardly ever meant.
func readSecret(path string) (string, error) {
	data, err := readAtMost(path, maxSecretFile)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(strings.TrimPrefix(string(data), "\ufeff"), "\r\n")
	switch {
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return "", errors.New("it is not text in UTF-8: write it again, as UTF-8")
	case strings.ContainsAny(text, "\r\n"):
		return "", errors.New("it has several lines: leave the one that is meant")
	case strings.TrimSpace(text) != text:
		return "", errors.New("it begins or ends with white space: remove that; where it is part of the secret, use the variable instead")
	}
	return text, nil
}

// ReadableSecrets returns a warning for each file with a secret that every user of the machine can read.
func (l *Loaded) ReadableSecrets() (found Mistakes) {
	if runtime.GOOS == "windows" { // files have no such permissions
		return nil
	}
	var seen []string
	for i := range l.program.table {
		path := l.program.table[i].path
		if !l.program.table[i].secret {
			continue
		}
		file, given := l.readFrom[path], l.from[path]
		if file == "" && (given.level == fromFile || given.level == fromDeployable) {
			file = l.File
		}
		if file == "" || path == "postgres.url" && !endpoint.HasPassword(l.Backend.Postgres.URL) || slices.Contains(seen, file) {
			continue
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o004 == 0 {
			continue
		}
		seen = append(seen, file)
		found = append(found, Mistake{file, fmt.Sprintf("every user of this machine can read %s here: take the permission away, with chmod o-r", path)})
	}
	return found
}
