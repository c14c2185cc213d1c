package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Secret is a text that is never printed: fmt, log/slog and encoding/json write "(set)" in its place, or "" for an
// empty one. string(s) is the text. Two things are beyond its methods: fmt shows a Secret in an unexported field of
// a struct, and encoding/json shows one that is the key of a map.
type Secret string

// hidden stands for a secret wherever settings are shown.
const hidden = "(set)"

// String returns "(set)" for a secret that has a text, and "" for one that has none.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format implements fmt.Formatter: every verb writes what String returns.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText implements encoding.TextMarshaler, for encoders of XML and YAML: it returns what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements json.Marshaler: it writes what String returns.
func (s Secret) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, s.String()), nil }

// readSecret returns what a file holds that has a secret and nothing else. The mark that some editors begin a file
// with, and the end of the line, are not part of it. White space that nobody sees is refused: it is hardly ever
// meant.
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

// ReadableSecrets warns of files with secrets that every user of the machine may read. Nothing is wrong with the
// settings themselves.
func (l *Loaded) ReadableSecrets() (found Mistakes) {
	if runtime.GOOS == "windows" { // whose files have no such permissions
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
		if file == "" || path == "postgres.url" && !hasPassword(l.Backend.Postgres.URL) || slices.Contains(seen, file) {
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

// hasPassword reports whether a URL of Postgres has one in it, wherever that is; one that cannot be read may.
func hasPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return true
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password")
}
