package httpserve

import (
	"regexp"
	"time"

	"github.com/troupebus/troupe/bus"
)

// Link is a direction of what goes between this process and the deployables, as clients see it.
type Link struct {
	Topic     string     `json:"topic"`
	Direction string     `json:"direction"` // out, or in
	State     string     `json:"state"`     // ok, or standing
	Error     string     `json:"error,omitempty"`
	Since     *time.Time `json:"since,omitempty"`   // the error is there
	Behind    int64      `json:"behind"`            // events that wait to be sent
	Warning   string     `json:"warning,omitempty"` // what may go wrong, though nothing has
}

// OK reports whether nothing is wrong with it.
func (l Link) OK() bool { return l.State == "ok" }

// ViewLink is l for clients: what is wrong comes without passwords.
func ViewLink(l bus.Link) Link {
	v := Link{Topic: l.Topic, Direction: "in", State: "ok", Behind: l.Lag, Warning: withoutPasswords(l.Warning)}
	if l.Out {
		v.Direction = "out"
	}
	if l.Err != nil {
		v.State, v.Error = "standing", withoutPasswords(l.Err.Error())
		if !l.Since.IsZero() {
			since := l.Since.UTC()
			v.Since = &since
		}
	}
	return v
}

// passwords are where a text about a connection may have one: in a URL, and in a list of settings.
var passwords = regexp.MustCompile(`(://[^\s/:@]*:)[^\s/]*@|((?i:password|passwd|pwd|secret)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|\S+)`)

// withoutPasswords is the last guard: no transport is to tell them, but what it passes on is the word of a driver or a server.
func withoutPasswords(text string) string {
	return passwords.ReplaceAllStringFunc(text, func(found string) string {
		m := passwords.FindStringSubmatch(found)
		if m[1] != "" {
			return m[1] + "***@"
		}
		return m[2] + "***"
	})
}
