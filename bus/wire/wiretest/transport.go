package wiretest

import (
	"context"
	"net"
	"testing"

	"github.com/troupebus/troupe/bus/wire"
)

// Dialer connects to addr, like net.Dialer.DialContext.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Harness is a transport under test, with access to its backend.
type Harness struct {
	// Open opens the transport of the deployable called group, like a new process: the same group has the same positions.
	// prefix separates the topics of different tests. If dial is not nil, the transport must use dial for connections to
	// its server. All goroutines of the transport must end with Close. Required.
	Open func(tb testing.TB, group, prefix string, dial Dialer) wire.Transport
	// CanCut means that Open uses dial, so that the suite can cut a process off from its server.
	CanCut bool
	// Foreign writes a message without the transport. The error matches errors.ErrUnsupported if no program can write such
	// a message to this backend. Nil if other programs cannot write.
	Foreign func(tb testing.TB, m Foreign) error
	// Forget deletes the backend's position of group in topic, for a transport with that prefix. Required by Positions.
	Forget func(tb testing.TB, group, prefix, topic string)

	cut func(tr wire.Transport, away bool) // replaces CanCut for a transport in memory
}

// Foreign is a message of a program that does not know Troupe. The transport with that Prefix maps Topic to the topic's
// real name. Key, if not nil, must decide about the partition as for a published message.
type Foreign struct {
	Prefix, Topic string
	Key           []byte
	Headers       map[string]string
	Payload       []byte // nil means no payload, if the backend distinguishes that from an empty payload
}

// Transport checks every promise of wire.Transport, each in a parallel subtest with its own topics and groups, and
// returns after all subtests. The only timing is a limit of one minute for each step.
//
// Start the server, if there is one, before the suite: a goroutine counts as a leak if Open starts the goroutine and
// Close does not end it. The goroutines that a driver starts once in a process are no leaks, because the suite carries
// a first message before the checks.
func Transport(t *testing.T, h Harness) {
	if err := warmUp(t, h); err != nil {
		t.Fatalf("the transport does not carry a single message, so no other check ran: %v", err)
	}
	t.Run("promises", func(t *testing.T) { // waits for its parallel subtests
		for _, p := range promises {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				if why := p.cannot(h); why != "" {
					t.Skip(why)
				}
				if err := p.check(t, h); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// promise is a clause of the contract with its check.
type promise struct {
	name  string
	needs need
	keep  func(s *stage) error // returns an error that describes the broken promise
}

type need int

const (
	nothing need = iota
	cutting
	foreigners
)

var promises = []promise{
	{"features", nothing, checkFeatures},
	{"order per key under concurrency", nothing, checkOrder},
	{"every group reads every message", nothing, checkGroups},
	{"delivery does not wait for acknowledgement", nothing, checkNoWait},
	{"a nacked message comes again", nothing, checkNack},
	{"the position outlives the process", nothing, checkPosition},
	{"the position outlives a process that dies", cutting, checkReaderDies},
	{"the position outlives a process that vanishes", cutting, checkReaderVanishes},
	{"the position outlives the subscription", nothing, checkContext},
	{"a publisher that is closed can be repeated", nothing, checkPublisherCloses},
	{"a publisher that dies can be repeated", cutting, checkPublisherDies},
	{"attributes and bytes arrive as they were sent", nothing, checkRoundTrip},
	{"a payload of the greatest size", nothing, checkGreatest},
	{"messages of other programs arrive unchanged", foreigners, checkForeign},
	{"closing with work in flight", nothing, checkClose},
	{"closing while the backend is away", cutting, checkCloseAway},
	{"the backend refuses and comes back", cutting, checkRefused},
	{"the backend is silent and comes back", cutting, checkSilent},
}

// cannot returns the reason why the promise cannot be checked on h, or "".
func (p promise) cannot(h Harness) string {
	switch {
	case p.needs == cutting && !h.CanCut && h.cut == nil:
		return "its connections cannot be cut: let Open use dial, and set CanCut"
	case p.needs == foreigners && h.Foreign == nil:
		return "no other program can write to its topics: set Foreign if another program can"
	default:
		return ""
	}
}
