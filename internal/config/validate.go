package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// validator is a struct of own settings with a check.
type validator interface{ Validate() error }

// validate returns the mistakes that the program's own check finds. It returns none if an own setting could not be
// read.
func (l *Loaded) validate() (found Mistakes) {
	v, ok := l.Own.(validator)
	if !ok || slices.ContainsFunc(l.program.table, func(s setting) bool { return s.own && l.bad[s.path] }) {
		return nil
	}
	for _, err := range joined(v.Validate()) {
		text := l.redacted(err.Error())
		found = append(found, Mistake{l.sourceOf(text), text})
	}
	return found
}

// joined returns the errors that errors.Join combined in err, and any other error alone.
func joined(err error) []error {
	if err == nil {
		return nil
	}
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	parts := many.Unwrap()
	if again := errors.Join(parts...); again == nil || again.Error() != err.Error() {
		return []error{err} // not of errors.Join: the text is another
	}
	var found []error
	for _, one := range parts {
		found = append(found, joined(one)...)
	}
	return found
}

// sourceOf returns the source of the setting whose path text begins with, or "".
func (l *Loaded) sourceOf(text string) string {
	for i := range l.program.table {
		s := &l.program.table[i]
		rest, ok := strings.CutPrefix(text, s.path)
		if ok && (rest == "" || strings.ContainsAny(rest[:1], " :,")) {
			return l.from[s.path].at
		}
	}
	return ""
}

// redacted returns text with "(set)" for each own secret.
func (l *Loaded) redacted(text string) string {
	for i := range l.program.table {
		s := &l.program.table[i]
		if !s.own || !s.secret {
			continue
		}
		if secret := s.field(&l.Settings).String(); secret != "" {
			quoted := strconv.Quote(secret)
			text = strings.NewReplacer(secret, hidden, quoted[1:len(quoted)-1], hidden).Replace(text)
		}
	}
	return text
}
