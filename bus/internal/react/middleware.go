package react

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/internal/guard"
	"github.com/troupebus/troupe/bus/journal"
)

type accountKey struct{}

// accounted is the one answer to a message, of the handler or of middleware.
type accounted struct {
	begun atomic.Bool
	mu    sync.Mutex // held while the handler runs
	err   error
}

// Account returns the outermost middleware. Whatever other middleware does with a message, Account makes sure that the
// delivery gets an answer.
func Account(policies map[string]*Policy) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			policies[journal.FromContext(msg.Context()).Subscription].pass(msg, next)
			return nil, nil
		}
	}
}

// pass runs the other middleware and the handler on msg.
func (p *Policy) pass(msg *message.Message, next message.HandlerFunc) {
	a := &accounted{}
	ctx := msg.Context()
	msg.SetContext(context.WithValue(ctx, accountKey{}, a))
	started := time.Now()
	err := guard.Run(func() error {
		_, err := next(msg)
		return err
	})
	if !a.begun.CompareAndSwap(false, true) {
		return
	}
	if err == nil {
		err = Drop("a middleware acknowledged the message without calling the handler")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = p.fail(ctx, journal.FromContext(ctx), started, err)
}
