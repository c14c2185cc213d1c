package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"regexp"
	"sync"
	"time"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/bus/wire/mark"
	"github.com/troupebus/troupe/internal/oncelog"
	"github.com/troupebus/troupe/transports/postgres/internal/session"
)

const (
	// maxPayload fits into the Timeout on a slow machine; two payloads of 256 MiB took 25 s on a busy machine.
	// PostgreSQL's limit for a row is 1 GiB.
	maxPayload = 64 << 20
	// publishers is the maximum number of connections for publishing. Commits with NOTIFY take turns anyway.
	publishers = 4
)

// topics matches the names of topics that watermill-sql allows.
var topics = regexp.MustCompile(`^[A-Za-z0-9$:._-]+$`)

// Transport is a wire.Transport on PostgreSQL. It is safe for concurrent use.
type Transport struct {
	config  Config
	connect *pgx.ConnConfig
	db      *sql.DB // for everything but reading
	schema  schema
	offsets watermillsql.DefaultPostgreSQLOffsetsAdapter
	warned  *oncelog.Warnings
	self    *mark.Process // this process among those of the same name

	ctx     context.Context // ends at Close
	cancel  context.CancelFunc
	lost    context.Context // ends when the database changed, or another process has taken over
	lose    context.CancelFunc
	running sync.WaitGroup

	mu           sync.Mutex
	closed       bool
	prepared     map[string]bool   // by topic
	layouts      map[string]layout // of the tables, by topic
	pruning      bool
	watching     bool
	identity     string                    // of the database; "" before it is known
	changed      error                     // of a database that changed
	replaced     error                     // an ErrReplaced, once another process has taken over
	claimed      map[string]journal.Memory // the journals for which this process reads, by identity
	warnedGroups map[string]bool           // groups that hold messages, and were logged
	absent       map[string]absence        // by topic
	reading      map[string]string         // the names of this deployable's positions, by topic
	holder       uint64                    // the transaction that stopped a reader; 0 once it has ended
}

var _ wire.Transport = (*Transport)(nil)

// New returns a Transport, which the caller must close. It does not connect, and fails only for an invalid config.
func New(config Config) (*Transport, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("invalid config: %w", err)
	}
	config = config.withDefaults()
	connect, err := pgx.ParseConfig(config.URL)
	if err != nil {
		return nil, errors.New("postgres: field URL cannot be read") // impossible: Validate has read it
	}
	if connect.RuntimeParams["application_name"] == "" {
		connect.RuntimeParams["application_name"] = "troupe " + config.Group
	}
	t := &Transport{
		config: config, connect: connect, self: mark.NewProcess(), warned: oncelog.NewWarnings(config.Logger, "postgres: "),
		prepared: map[string]bool{}, layouts: map[string]layout{}, claimed: map[string]journal.Memory{},
		warnedGroups: map[string]bool{}, absent: map[string]absence{}, reading: map[string]string{},
	}
	t.schema, t.offsets = adapters(config.Prefix)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.lost, t.lose = context.WithCancel(t.ctx)
	connect.DialFunc, connect.Tracer = t.dial, session.Limit(config.Timeout)
	t.db = stdlib.OpenDB(*connect, stdlib.OptionAfterConnect(t.prepareSession))
	t.db.SetMaxOpenConns(publishers)
	t.db.SetConnMaxIdleTime(time.Minute)
	return t, nil
}

// dial also ends with the Transport: otherwise pgx would continue in the background to cancel queries.
func (t *Transport) dial(opening context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(opening)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	conn, err := t.config.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return session.Dialed(opening, conn), nil
}

// prepareSession sets up a connection of the pool.
func (t *Transport) prepareSession(ctx context.Context, conn *pgx.Conn) error {
	return session.Publisher(ctx, conn, t.config.Timeout)
}

// Features implements wire.Transport.
func (t *Transport) Features() wire.Features {
	return wire.Features{
		Name: "postgres", MaxPayload: maxPayload, Backend: t.backend(), Identity: t.Identity, Claim: t.claimTopic, Warnings: t.warned.ByTopic,
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

// Close ends every Publish and every subscription, stores the positions, and returns when no goroutine is left. Close
// is idempotent.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.running.Wait()
	_ = t.db.Close() // can only report that an idle connection was broken
	return nil
}
