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
	// A statement brings so much at most, and at least one message. The transaction is one.
	chunkRows  = 5000
	chunkBytes = 16 << 20
)

// The pauses between the tries of one Publish.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// errUnsure is what is wrong with a commit that failed on its way: the messages may be taken.
var errUnsure = errors.New("the server did not say that the messages are taken")

// Publish implements message.Publisher: all messages or none, in their order, in one transaction. It tries for Config.Timeout,
// unless trying again cannot help, or the server may have taken them already. Topics have letters, digits and $:._- in their
// names.
func (t *Transport) Publish(topic string, msgs ...*message.Message) error {
	if err := t.begin(); err != nil {
		return err
	}
	defer t.running.Done()
	for i, msg := range msgs {
		if len(msg.Payload) > maxPayload {
			return &wire.Refused{At: i, Err: fmt.Errorf("postgres: publish to %s: message %q has %d bytes: want at most %d; send a reference to what is large", topic, msg.UUID, len(msg.Payload), maxPayload)}
		}
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.config.Timeout)
	defer cancel()
	var before error
	for next := firstPause; ; next = min(2*next, lastPause) {
		err := t.publish(ctx, topic, msgs)
		if err == nil {
			return nil
		}
		t.forget(topic)
		if ctx.Err() != nil && before != nil {
			err = before // the last try was cut short, and says no more than that
		}
		before = err
		if errors.Is(err, errUnsure) || !passes(err) || !pause.For(ctx, next) {
			if t.ctx.Err() != nil {
				return fmt.Errorf("%w while it published to %s: %w", ErrClosed, topic, err)
			}
			return t.explain("publish to "+topic, err)
		}
	}
}

func (t *Transport) publish(ctx context.Context, topic string, msgs []*message.Message) error {
	if err := t.prepare(ctx, topic); err != nil {
		return err
	}
	if len(msgs) == 0 { // the caller asks whether it could
		return t.inTx(ctx, func(*sql.Tx) error { return nil })
	}
	committing := false
	err := t.inTx(ctx, func(tx *sql.Tx) error {
		publisher, err := watermillsql.NewPublisher(bounded{tx, ctx}, watermillsql.PublisherConfig{SchemaAdapter: t.schema}, nil)
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

// chunks are msgs in parts that a statement can bring.
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

// bounded has what watermill-sql's Publisher does end with ctx: by itself it waits for ever.
type bounded struct {
	*sql.Tx
	ctx context.Context
}

// ExecContext is sql.Tx's, with the context of the call instead of the publisher's.
func (b bounded) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	return b.Tx.ExecContext(b.ctx, query, args...)
}
