package httpserve

import (
	"regexp"
	"time"

	"github.com/troupebus/troupe/bus"
)

// Link is the JSON form of a direction of the events between this process and other deployables.
type Link struct {
	Topic     string     `json:"topic"`
	Direction string     `json:"direction"` // out or in
	State     string     `json:"state"`     // ok or standing
	Error     string     `json:"error,omitempty"`
	Since     *time.Time `json:"since,omitempty"`   // of the error
	Lag       int64      `json:"behind"`            // number of events that wait to be sent
	Warning   string     `json:"warning,omitempty"` // a risk; there is no error yet
}

// OK reports whether the link has no error.
func (l Link) OK() bool { return l.State == "ok" }

// ViewLink returns l for clients, without passwords.
func ViewLink(l bus.Link) Link {
	v := Link{Topic: l.Topic, Direction: "in", State: "ok", Lag: l.Lag, Warning: withoutPasswords(l.Warning)}
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

// passwords matches texts that may contain a password: URLs, and lists of settings.
var passwords = regexp.MustCompile(`(://[^\s/:@]*:)[^\s/]*@|((?i:password|passwd|pwd|secret)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|\S+)`)

// withoutPasswords removes passwords, as the last guard: transports do not print passwords, but they pass on texts of
// drivers and servers.
func withoutPasswords(text string) string {
	return passwords.ReplaceAllStringFunc(text, func(found string) string {
		m := passwords.FindStringSubmatch(found)
		if m[1] != "" {
			return m[1] + "***@"
		}
		return m[2] + "***"
	})
}
