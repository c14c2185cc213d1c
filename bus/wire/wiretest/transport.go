package wiretest

import (
	"context"
	"net"
	"testing"

	"github.com/troupebus/troupe/bus/wire"
)

// Dialer connects to addr, as net.Dialer.DialContext does.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Harness is a transport under test: how Transport makes it and gets at what is behind it.
type Harness struct {
	// Open makes the transport of the deployable called group, as a fresh process would: the same group has the same place in
	// its topics. prefix keeps the topics of one test from those of others. dial, when not nil, is how it must reach its
	// server. Whatever goroutines it starts must end with the transport's Close. Required.
	Open func(tb testing.TB, group, prefix string, dial Dialer) wire.Transport
	// CanCut says that Open heeds dial, so that the suite can cut a process off from its server.
	CanCut bool
	// Foreign writes a message past the transport. It returns an error that is errors.ErrUnsupported when no program can
	// write such a message on this carrier. Nil where nobody else can write.
	Foreign func(tb testing.TB, m Foreign) error
	// Forget deletes what the carrier keeps of the position of group in what a transport with that prefix calls topic. It is for Positions.
	Forget func(tb testing.TB, group, prefix, topic string)

	cut func(tr wire.Transport, away bool) // instead of CanCut, for a transport in memory
}

// Foreign is a message of a program that knows nothing of Troupe. Its topic is what a transport with that prefix calls
// Topic. Its key, nil for none, must decide about its place as that of a published message does.
type Foreign struct {
	Prefix, Topic string
	Key           []byte
	Headers       map[string]string
	Payload       []byte // nil is none at all, where the carrier tells that from empty
}

// Transport holds an implementation to every promise of wire.Transport, each in a subtest of its own that runs in parallel
// to the others, on topics and groups of its own. It returns when all have ended. There is no timing in it, but that a
// step which is not done after a minute has failed.
//
// The server, if there is one, must be started before: the suite takes every goroutine that starts on behalf of Open, and
// outlives Close, for a leak. Those that a driver starts once in a process are not: a first message is carried before.
func Transport(t *testing.T, c Harness) {
	if err := warmUp(t, c); err != nil {
		t.Fatalf("it does not carry a single message, so nothing else was tried: %v", err)
	}
	t.Run("promises", func(t *testing.T) { // a subtest, so that it waits for the parallel ones
		for _, p := range promises {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				if why := p.cannot(c); why != "" {
					t.Skip(why)
				}
				if err := p.check(t, c); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// promise is one clause of the contract, and how it is checked.
type promise struct {
	name  string
	needs need
	keep  func(s *stage) error // an error says in which way it is not kept
}

type need int

const (
	nothing need = iota
	cutting
	strangers
)

var promises = []promise{
	{"features", nothing, checkFeatures},
	{"order per key under concurrency", nothing, checkOrder},
	{"every group reads everything", nothing, checkGroups},
	{"delivery does not wait for acknowledgement", nothing, checkNoWait},
	{"what is nacked comes again", nothing, checkNack},
	{"the place outlives the process", nothing, checkPlace},
	{"the place outlives a process that dies", cutting, checkReaderDies},
	{"the place outlives a process that vanishes", cutting, checkReaderVanishes},
	{"the place outlives the subscription", nothing, checkContext},
	{"a publisher that is closed can be repeated", nothing, checkPublisherCloses},
	{"a publisher that dies can be repeated", cutting, checkPublisherDies},
	{"attributes and bytes arrive as they were sent", nothing, checkRoundTrip},
	{"a payload of the greatest size", nothing, checkGreatest},
	{"what others wrote arrives as it is", strangers, checkForeign},
	{"closing with work in flight", nothing, checkClose},
	{"closing while the carrier is away", cutting, checkCloseAway},
	{"the carrier refuses and comes back", cutting, checkRefused},
	{"the carrier is silent and comes back", cutting, checkSilent},
}

// cannot says why the promise cannot be checked on c, or "".
func (p promise) cannot(c Harness) string {
	switch {
	case p.needs == cutting && !c.CanCut && c.cut == nil:
		return "its connections cannot be cut: have Open heed dial, and set CanCut"
	case p.needs == strangers && c.Foreign == nil:
		return "nobody else can write to it: set Foreign if that is not so"
	default:
		return ""
	}
}
