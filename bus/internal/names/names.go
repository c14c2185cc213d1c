// Package names has the earlier names of subscriptions, and their beginnings. The package imports the standard library
// only.
package names

import (
	"errors"
	"fmt"
)

// Names are the earlier names of a subscription, "module/name", the newest first, and how the subscription begins.
type Names struct {
	Was       []string
	FromNow   bool
	FromStart bool
	Version   int // of the run from the start; 0 for none
}

// Check returns the mistakes of the subscription called name. taken has the names of all subscriptions, each with the
// present name; Check adds the earlier names.
func (n *Names) Check(name string, external bool, taken map[string]string) (errs []error) {
	for _, was := range n.Was {
		if other := taken[was]; other != "" {
			errs = append(errs, fmt.Errorf("Handler.Was has %q, which is a name of subscription %q, too: give each subscription names of its own", was, other))
		}
		taken[was] = name
	}
	if n.FromStart && n.FromNow {
		errs = append(errs, errors.New("FromNow and FromStart exclude each other: choose one"))
	}
	if n.Version != 0 && external {
		errs = append(errs, errors.New("Handler.Rebuild would repeat the calls to the outside: leave it out"))
	}
	return errs
}
