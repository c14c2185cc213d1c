package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"
)

// readSecret returns what a file holds that has a secret and nothing else. The mark that some editors begin a file with, and the end of the
// line, are not part of it. White space that nobody sees is refused: it is hardly ever meant.
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

// ReadableSecrets warns of files with secrets that every user of the machine may read. Nothing is wrong with the settings themselves.
func (l *Loaded) ReadableSecrets() (found Mistakes) {
	if runtime.GOOS == "windows" { // whose files have no such permissions
		return nil
	}
	var seen []string
	for _, path := range []string{"kafka.sasl-password", "postgres.url"} {
		file, given := l.secretFiles[path], l.from[path]
		if file == "" && (given.level == fromFile || given.level == fromDeployable) {
			file = l.File
		}
		if file == "" || path == "postgres.url" && !hasPassword(l.Carrier.Postgres.URL) || slices.Contains(seen, file) {
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
