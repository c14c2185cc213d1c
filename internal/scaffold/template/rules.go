package main

import (
	"context"
	"fmt"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/internal/scaffold/template/signup"
	//new:each welcome
	"github.com/troupebus/troupe/internal/scaffold/template/welcome"
	//new:end
)

// verify checks the tables against the rules of the business, and returns all violations. Every test ends with verify,
// and the command verify calls the same function.
func verify(ctx context.Context, tables func(module string) bus.SQL) (wrong []string, err error) {
	entries, err := signup.All(ctx, tables("signup"))
	if err != nil {
		return nil, err
	}
	for _, m := range []struct {
		module string
		sent   func(ctx context.Context, tx bus.SQL) (map[string]string, error)
	}{
		//new:each welcome
		{"welcome", welcome.Sent},
		//new:end
	} {
		sent, err := m.sent(ctx, tables(m.module))
		if err != nil {
			return nil, err
		}
		for id, entry := range entries {
			if noted := entry.Answers[m.module]; noted != sent[id] {
				wrong = append(wrong, fmt.Sprintf("%s: signup has noted the answer %q of %s, which has sent %q",
					id, noted, m.module, sent[id]))
			}
			delete(sent, id)
		}
		for id := range sent {
			wrong = append(wrong, fmt.Sprintf("%s: %s has sent a message, and signup knows of no request", id, m.module))
		}
	}
	return wrong, nil
}
