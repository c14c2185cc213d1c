package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config describes a PostgreSQL server, and the deployable that uses it. URL and Group are required.
type Config struct {
	// URL is the connection string, such as postgres://user:password@host:5432/database?sslmode=verify-full or "host=...
	// user=...". Missing parts come from the usual PG* environment variables. The password appears in no log and in no
	// error. The tables are in the first schema of search_path. Required.
	URL string

	// Insecure allows a server on another machine without proof of its identity. Defaults to false.
	Insecure bool

	// Group is the name of the deployable, under which its positions in the topics are stored. When two processes run
	// under the same name on copies of a journal, the older process stops (wire.ErrReplaced). Required.
	Group string

	// Prefix begins the names of the tables. No prefix in a database may begin another one. Defaults to "troupe".
	Prefix string

	// Retention is how long to keep messages that every group has acknowledged, for later groups; -1 keeps messages for
	// ever. Messages without the acknowledgement of a group stay, until they are four times as old and the group has no
	// reader. A topic without groups keeps all messages, unless its name begins with "_", as that of a topic for
	// observers. Defaults to 7 days.
	Retention time.Duration

	// Timeout bounds each statement, and each answer while a connection opens. Publish begins no try after Timeout.
	// Subscribe waits up to half of Timeout, and at most 3 s, for another reader or an open transaction to end. The
	// server ends a session that is idle in a transaction for longer, and cancels a statement that waits for a lock for
	// longer. Defaults to 10 s.
	Timeout time.Duration

	// Poll is how often an idle reader looks for messages that came without NOTIFY, and for a lost connection. Messages of
	// this package wake the reader at once. Defaults to 5 s.
	Poll time.Duration

	// NoCreate disables the creation of tables; an operator creates them with the statements of Schema. Defaults to false.
	NoCreate bool

	// Dial connects to the server. Defaults to net.Dialer.DialContext.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Logger receives the messages for operators. Defaults to slog.Default.
	Logger *slog.Logger

	heldUp time.Duration // for tests, instead of the constant
}

// maxGroup is the size of a group's name in watermill-sql's table, in bytes, less the suffix of wire.PositionName.
const maxGroup = 255 - 17

// prefixes matches valid prefixes of table names; watermill-sql allows the same characters in topics.
var prefixes = regexp.MustCompile(`^[A-Za-z0-9$:._-]{1,32}$`)

// Validate returns all mistakes in c, joined.
func (c Config) Validate() error {
	var errs []error
	if c.URL == "" {
		errs = append(errs, errors.New("field URL is missing: want a URL such as postgres://user@host:5432/database"))
	} else if at, err := pgx.ParseConfig(c.URL); err == nil {
		errs = append(errs, c.checkVerified(at))
	} else {
		// The error of pgx is left out: in an unreadable URL, any part may be the password.
		errs = append(errs, errors.New("field URL cannot be read: want a URL such as postgres://user:password@host:5432/database?sslmode=verify-full;"+
			" check the port, the parameters and their files, and write special characters of the password as %XX"))
	}
	switch {
	case c.Group == "":
		errs = append(errs, errors.New("field Group is missing: want the name of this deployable, the same after every restart"))
	case len(c.Group) > maxGroup || escape(c.Group) != c.Group:
		errs = append(errs, fmt.Errorf("field Group is %.40q: want text of at most %d bytes", c.Group, maxGroup))
	}
	if c.Prefix != "" && !prefixes.MatchString(c.Prefix) {
		errs = append(errs, fmt.Errorf("field Prefix is %q: want at most 32 letters, digits and any of $:._-", c.Prefix))
	}
	if c.Retention < 0 && c.Retention != -1 {
		errs = append(errs, fmt.Errorf("field Retention is %v: want 0 for the default, -1 to keep messages for ever, or more", c.Retention))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("field Timeout is %v: want 0 for the default, or more", c.Timeout))
	}
	if c.Poll < 0 {
		errs = append(errs, fmt.Errorf("field Poll is %v: want 0 for the default, or more", c.Poll))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = "troupe"
	}
	if c.Retention == 0 {
		c.Retention = 7 * 24 * time.Hour
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Poll == 0 {
		c.Poll = 5 * time.Second
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.heldUp == 0 {
		c.heldUp = heldUp
	}
	return c
}

// String returns a description of c, without its password.
func (c Config) String() string {
	at, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return fmt.Sprintf("postgres group %s", c.Group)
	}
	return fmt.Sprintf("postgres %s group %s", serverName(at), c.Group)
}

// LogValue implements slog.LogValuer, so that a logged Config shows no password.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// serverName returns the address of a server and the name of the database.
func serverName(at *pgx.ConnConfig) string {
	host := at.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, fmt.Sprint(at.Port))
	}
	return host + "/" + at.Database
}
