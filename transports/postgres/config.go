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

// Config says where the server is and who reads. URL and Group are required.
type Config struct {
	// URL is the connection string, such as postgres://user:password@host:5432/database?sslmode=verify-full, or in the form
	// "host=... user=...". What it leaves out comes from the usual PG* environment variables. Its password appears in no log
	// and in no error. The tables are where search_path says. Required.
	URL string

	// Insecure allows connections to another machine in which the server does not prove who it is: with an sslmode that is not
	// verify-full or verify-ca. Defaults to refusing these.
	Insecure bool

	// Group is whose place in the topics is kept: the name of the deployable. Of two processes that run under one name on copies of one
	// journal, the older one ends (wire.ErrReplaced). Required.
	Group string

	// Prefix begins the names of the tables. Two systems in one database need prefixes of which neither begins the other.
	// Defaults to "troupe".
	Prefix string

	// Retention is how long messages that every group has acknowledged are kept, for groups that come later; -1 keeps them for
	// ever. What one group has not acknowledged stays, until nobody has read for it while that became four times as old. What
	// nobody has read yet stays in any case, but for topics whose names begin with "_", as those that observers read. Defaults to
	// 7 days.
	Retention time.Duration

	// Timeout is how long Publish tries before it gives up, and how long a reader waits for one answer of the server before it
	// takes the connection for lost. Subscribe waits up to half of it, and 3 s, for what stands in its way. The server ends a
	// session that is idle in a transaction, or waits for a lock, for longer: a frozen process stops no other. Defaults to 10 s.
	Timeout time.Duration

	// Poll is how often an idle reader looks although nobody told it to. It bounds how late a reader notices a message that
	// came without NOTIFY, or that its connection is gone. Messages of this package wake it at once. Defaults to 5 s.
	Poll time.Duration

	// NoCreate says that the tables are made by somebody else; Schema has the statements. Defaults to making what is missing.
	NoCreate bool

	// Dial connects to the server. Defaults to net.Dialer.DialContext.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Logger takes what an operator should hear of. Defaults to slog.Default.
	Logger *slog.Logger

	heldUp time.Duration // for tests: instead of the constant
}

// maxGroup is what watermill-sql's table of offsets has room for, in bytes, less what wire.PlaceOf may add.
const maxGroup = 255 - 17

// prefixes are what may begin a table's name; watermill-sql allows as much of topics.
var prefixes = regexp.MustCompile(`^[A-Za-z0-9$:._-]{1,32}$`)

// Validate joins everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.URL == "" {
		errs = append(errs, errors.New("field URL is missing: want one such as postgres://user@host:5432/database"))
	} else if at, err := pgx.ParseConfig(c.URL); err == nil {
		errs = append(errs, c.checkVerified(at))
	} else {
		// What is wrong is not repeated: in a URL that cannot be read, nobody knows what is the password.
		errs = append(errs, errors.New("field URL cannot be read: want one such as postgres://user:password@host:5432/database?sslmode=verify-full;"+
			" look at its port, its parameters and their files, and write what is special in the password as %XX"))
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

// String is c for people, without its password.
func (c Config) String() string {
	at, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return fmt.Sprintf("postgres group %s", c.Group)
	}
	return fmt.Sprintf("postgres %s group %s", where(at), c.Group)
}

// LogValue implements slog.LogValuer, so that a logged Config shows no password.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// where names a server and its database.
func where(at *pgx.ConnConfig) string {
	host := at.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, fmt.Sprint(at.Port))
	}
	return host + "/" + at.Database
}
