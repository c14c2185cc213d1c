package welcome

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Provider sends messages. For one Key a provider acts at most once, and repeats the first answer. An ErrRefused is
// final; after any other error the message is sent again, with the same Key.
type Provider interface {
	// Send sends m, and returns the provider's own name for the message. ctx bounds the call.
	Send(ctx context.Context, m Message) (reference string, err error)
}

// Message is a message to send. Key is the idempotency key.
type Message struct{ Key, To string }

// ErrRefused is the answer to a message that no retry helps.
var ErrRefused = errors.New("welcome: the provider refused the message")

// Fake is a Provider for tests and first steps: no message is sent. Fake refuses addresses with the text Refuse, and
// none where Refuse is empty.
type Fake struct{ Refuse string }

// Send implements Provider.
func (f Fake) Send(_ context.Context, m Message) (string, error) {
	if f.Refuse != "" && strings.Contains(m.To, f.Refuse) {
		return "", fmt.Errorf("%w to %s", ErrRefused, m.To)
	}
	return "message " + m.Key, nil
}
