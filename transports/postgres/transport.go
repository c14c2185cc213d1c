package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"sync"
	"time"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/mark"
	"github.com/troupebus/troupe/internal/oncelog"
)

const (
	// maxPayload is what passes within the Timeout on a slow machine; two of 256 MiB took 25 s on a busy one. A row may have 1 GiB.
	maxPayload = 64 << 20
	// publishers is how many connections a Transport publishes with at most. Commits that notify take turns anyway.
	publishers = 4
)

// topics are what watermill-sql allows.
var topics = regexp.MustCompile(`^[A-Za-z0-9$:._-]+$`)

// Transport is a wire.Transport on PostgreSQL. It is safe for concurrent use.
type Transport struct {
	config  Config
	connect *pgx.ConnConfig
	db      *sql.DB // for everything but reading
	schema  schema
	offsets watermillsql.DefaultPostgreSQLOffsetsAdapter
	warned  *oncelog.Warnings
	self    *mark.Process // this process among those that run under its name

	ctx     context.Context // ends at Close
	cancel  context.CancelFunc
	lost    context.Context // ends when the database is another one than before, or another process has taken over
	lose    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	prepared map[string]bool   // by topic
	layouts  map[string]layout // of the tables, by topic
	pruning  bool
	watching bool
	identity string                    // of the database; "" before it is known
	changed  error                     // it is another one
	replaced error                     // another process has taken over
	claimed  map[string]journal.Memory // for which journals this process reads, by their identities
	told     map[string]bool           // of groups that hold messages, so that each is told of once
	absent   map[string]absence        // by topic
	reading  map[string]string         // the names of this deployable's places, by topic
	holder   uint64                    // the transaction that stopped a reader; 0 once it has ended
}

var _ wire.Transport = (*Transport)(nil)

// New makes a Transport, which must be closed. Only a bad config is an error: the server may be away.
func New(config Config) (*Transport, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	config = config.withDefaults()
	connect, err := pgx.ParseConfig(config.URL)
	if err != nil {
		return nil, errors.New("postgres: field URL cannot be read") // Validate has read it
	}
	if connect.RuntimeParams["application_name"] == "" {
		connect.RuntimeParams["application_name"] = "troupe " + config.Group
	}
	t := &Transport{config: config, connect: connect, prepared: map[string]bool{}, layouts: map[string]layout{}, told: map[string]bool{},
		absent: map[string]absence{}, reading: map[string]string{}, claimed: map[string]journal.Memory{},
		warned: oncelog.NewWarnings(config.Logger, "postgres: "), self: mark.NewProcess()}
	t.schema, t.offsets = adapters(config.Prefix)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.lost, t.lose = context.WithCancel(t.ctx)
	connect.DialFunc = t.dial
	t.db = stdlib.OpenDB(*connect, stdlib.OptionAfterConnect(t.prepareSession))
	t.db.SetMaxOpenConns(publishers)
	t.db.SetConnMaxIdleTime(time.Minute)
	return t, nil
}

// dial ends with the Transport, too: pgx would go on in the background to cancel what it has given up.
func (t *Transport) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	return t.config.Dial(ctx, network, addr)
}

// sessionLimits bounds how long the server waits for a client whose network is gone or whose process is frozen. The session of
// such a client would keep its transaction, with the locks that other deployables need, or its turn in the queue of a lock, until
// the server's TCP gives up: after two hours by default. The client itself gives up after Config.Timeout.
const sessionLimits = `set_config('idle_in_transaction_session_timeout', $1, false), set_config('lock_timeout', $1, false)`

// limit returns the argument of sessionLimits, in milliseconds.
func (t *Transport) limit() string { return strconv.FormatInt(t.config.Timeout.Milliseconds()+1, 10) }

// prepareSession sets the session's limits, and makes a commit wait for the disk where the database's settings do not.
func (t *Transport) prepareSession(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT `+sessionLimits+`, CASE WHEN current_setting('synchronous_commit') = 'off'
	THEN set_config('synchronous_commit', 'on', false) END`, t.limit())
	return err
}

// Features implements wire.Transport.
func (t *Transport) Features() wire.Features {
	return wire.Features{
		Name: "postgres", MaxPayload: maxPayload, Backend: t.carrier(), Identity: t.Identity, Claim: t.claimTopic, Warnings: t.warned.ByTopic,
	}
}

// begin admits a call, which must call t.running.Done at its end.
func (t *Transport) begin() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return ErrClosed
	case t.replaced != nil:
		return t.replaced
	}
	t.running.Add(1)
	return nil
}

// Close has Publish give up and ends subscriptions; the places that they have come to are kept. It returns when no goroutine is
// left. Once is enough, and more is no error.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.running.Wait()
	_ = t.db.Close() // all it can say is that an idle connection was broken already
	return nil
}
