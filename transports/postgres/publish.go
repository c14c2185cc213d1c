package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/pause"
)

const (
	// Limits of a statement, which inserts at least one message. A transaction may have several statements.
	chunkRows  = 5000
	chunkBytes = 16 << 20
)

// The pauses between the tries of a Publish.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// errUnsure means that the commit returned an error: the messages may be stored.
var errUnsure = errors.New("the server did not confirm that it stored the messages")

// Publish implements message.Publisher. It stores all messages or none, in order, in a single transaction. It tries for
// Config.Timeout, unless a retry cannot help or the server may have stored the messages. The name of a topic consists
// of letters, digits and $:._-.
func (t *Transport) Publish(topic string, msgs ...*message.Message) error {
	if err := t.begin(); err != nil {
		return err
	}
	defer t.running.Done()
	for i, msg := range msgs {
		if len(msg.Payload) > maxPayload {
			return &wire.Refused{At: i, Err: fmt.Errorf("postgres: publish to %s: message %q has %d bytes: want at most %d; send a reference to the large data", topic, msg.UUID, len(msg.Payload), maxPayload)}
		}
	}
	tries, cancel := context.WithTimeout(t.ctx, t.config.Timeout)
	defer cancel()
	for next := firstPause; ; next = min(2*next, lastPause) {
		err := t.publish(t.ctx, topic, msgs)
		if err == nil {
			return nil
		}
		t.forget(topic)
		if errors.Is(err, errUnsure) || !retryable(err) || !pause.For(tries, next) {
			if t.ctx.Err() != nil {
				return fmt.Errorf("%w during a publish to %s: %w", ErrClosed, topic, err)
			}
			return t.explain("publish to "+topic, err)
		}
	}
}

func (t *Transport) publish(ctx context.Context, topic string, msgs []*message.Message) error {
	if err := t.prepare(ctx, topic); err != nil {
		return err
	}
	if len(msgs) == 0 { // a call without messages asks whether Publish works
		return t.inTx(ctx, func(*sql.Tx) error { return nil })
	}
	committing := false
	err := t.inTx(ctx, func(tx *sql.Tx) error {
		config := watermillsql.PublisherConfig{SchemaAdapter: t.schema}
		publisher, err := watermillsql.NewPublisher(bounded{tx, ctx}, config, nil)
		if err != nil {
			return err
		}
		for chunk := range chunks(msgs) {
			if err := publisher.Publish(topic, chunk...); err != nil {
				return err
			}
		}
		committing = true
		return nil
	})
	if err != nil && committing {
		return fmt.Errorf("%w: %w", errUnsure, err)
	}
	return err
}

// chunks divides msgs into parts that fit into a statement.
func chunks(msgs []*message.Message) func(yield func([]*message.Message) bool) {
	return func(yield func([]*message.Message) bool) {
		from, size := 0, 0
		for i, msg := range msgs {
			n := len(msg.Payload) + metadataSize(msg)
			if i > from && (i-from == chunkRows || size+n > chunkBytes) {
				if !yield(msgs[from:i]) {
					return
				}
				from, size = i, 0
			}
			size += n
		}
		yield(msgs[from:])
	}
}

func metadataSize(msg *message.Message) int {
	n := 0
	for name, value := range msg.Metadata {
		n += len(name) + len(value)
	}
	return n
}

// bounded makes the calls of watermill-sql's Publisher end with ctx; otherwise they would wait for ever.
type bounded struct {
	*sql.Tx
	ctx context.Context
}

// ExecContext is sql.Tx's ExecContext, with the context of bounded.
func (b bounded) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	return b.Tx.ExecContext(b.ctx, query, args...)
}
