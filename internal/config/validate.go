package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// validator is a struct of own settings that checks them.
type validator interface{ Validate() error }

// validate returns what the program finds wrong with its own settings. It returns nothing if one of them could not
// be read.
func (l *Loaded) validate() (found Mistakes) {
	v, ok := l.Own.(validator)
	if !ok || slices.ContainsFunc(l.program.table, func(s setting) bool { return s.own && l.bad[s.path] }) {
		return nil
	}
	for _, err := range joined(v.Validate()) {
		text := l.redacted(err.Error())
		found = append(found, Mistake{l.placeOf(text), text})
	}
	return found
}

// joined returns the errors that errors.Join has put together in err. Any other error is returned alone.
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
		return []error{err} // it has a text of its own
	}
	var found []error
	for _, one := range parts {
		found = append(found, joined(one)...)
	}
	return found
}

// placeOf returns where a setting was given if text begins with the path of that setting, and "" otherwise.
func (l *Loaded) placeOf(text string) string {
	for i := range l.program.table {
		s := &l.program.table[i]
		rest, ok := strings.CutPrefix(text, s.path)
		if ok && (rest == "" || strings.ContainsAny(rest[:1], " :,")) {
			return l.from[s.path].at
		}
	}
	return ""
}

// redacted returns text with "(set)" in the place of own secrets.
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
