// Package sim simulates the external services of the shop: a payment gateway and a carrier. The services are slow,
// fail, time out and lose answers, as real services do. They keep a ledger for the audit of the shop.
//
// A World is idempotent by key, like a good external service: the first final answer to a key is kept and repeated.
// The work of a World survives the process: a World answers after the work is in the file.
//
// No decision depends on chance or time. Declined orders, troubles and latencies are functions of the seed, the key
// or order id, and the number of the attempt, so a run can be repeated.
//
// The package may import domain/payment and domain/shipping, and implements their ports.
package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// The errors of a World, beside *payment.DeclinedError, *shipping.UndeliverableError and the error of a ctx that
// ended. A later call with the same key can succeed, except after ErrKeyReused and ErrRequest.
var (
	ErrUnavailable = errors.New("sim: service unavailable")                // no work was done
	ErrNoAnswer    = errors.New("sim: no answer from the service")         // the work may or may not have been done
	ErrKeyReused   = errors.New("sim: key was used for another request")   // no work was done
	ErrRequest     = errors.New("sim: request cannot be served")           // the key, the order or a valid amount is missing
	ErrInUse       = errors.New("sim: world is in use by another process") // from Open
	ErrCorrupt     = errors.New("sim: world cannot be read")               // from Open and ReadLedger
	ErrClosed      = errors.New("sim: closed")
)

// Trouble is a failure of a call.
type Trouble int

// The troubles of a call.
const (
	Transient  Trouble = iota + 1 // no work, and ErrUnavailable
	Timeout                       // no work, and no answer until ctx ends or Options.Silence is over
	LostAnswer                    // the work is done, and then ErrNoAnswer
)

// maxTroubles bounds the troubles that the rates give to a key, so that a retry policy of some attempts always
// succeeds.
const maxTroubles = 3

// Fate is the fate that a rule gives to an order. The zero Fate is an order without any problem.
type Fate struct {
	Declined      string    // the reason to decline the charge; empty to accept it
	Undeliverable string    // the reason why the parcel is undeliverable; empty to deliver it
	Troubles      []Trouble // of the first calls of each key; later calls are answered
}

// Options control how well a World works. In the zero value every call succeeds at once.
type Options struct {
	// Seed changes every decision that Rules does not make.
	Seed uint64
	// Latency is the mean duration of a call; a call takes at most five times as long. Defaults to 0.
	Latency time.Duration
	// Silence is how long a call with Timeout stays without an answer, at most. Defaults to 30 s.
	Silence time.Duration

	// DeclineRate and UndeliverableRate are the shares of orders, from 0 to 1, with a declined charge and with an
	// undeliverable parcel. They default to 0.
	DeclineRate, UndeliverableRate float64
	// TransientRate, TimeoutRate and LostAnswerRate are the shares of calls with the Trouble of that name, together at
	// most 1. After three troubles a key is answered whatever the rates. They default to 0.
	TransientRate, TimeoutRate, LostAnswerRate float64

	// Rules returns the Fate of an order by id, which replaces all rates, or false for an order without a rule. Rules is
	// called from several goroutines at once, and must return the same Fate for the same id. Defaults to no rules.
	Rules func(orderID string) (Fate, bool)
}

// validate returns all problems of o.
func (o Options) validate() error {
	var problems []error
	rates := []struct {
		name string
		rate float64
	}{
		{"DeclineRate", o.DeclineRate}, {"UndeliverableRate", o.UndeliverableRate}, {"TransientRate", o.TransientRate},
		{"TimeoutRate", o.TimeoutRate}, {"LostAnswerRate", o.LostAnswerRate},
		{"TransientRate + TimeoutRate + LostAnswerRate", o.TransientRate + o.TimeoutRate + o.LostAnswerRate},
	}
	for _, r := range rates {
		if !(r.rate >= 0 && r.rate <= 1) { // written like this, the condition catches NaN
			problems = append(problems, fmt.Errorf("sim: %s is %v, must be from 0 to 1", r.name, r.rate))
		}
	}
	if o.Latency < 0 {
		problems = append(problems, fmt.Errorf("sim: Latency is %v, must not be below 0", o.Latency))
	}
	if o.Silence < 0 {
		problems = append(problems, fmt.Errorf("sim: Silence is %v, must not be below 0", o.Silence))
	}
	return errors.Join(problems...)
}

// fate returns the fate of a call for an order.
func (o Options) fate(r request) Fate {
	if o.Rules != nil {
		if f, ok := o.Rules(r.Order); ok {
			return f
		}
	}
	var f Fate
	if o.chance("declined", r.Order, 0) < o.DeclineRate {
		f.Declined = "insufficient funds"
	}
	if o.chance("undeliverable", r.Order, 0) < o.UndeliverableRate {
		f.Undeliverable = "no such address"
	}
	for n := range maxTroubles {
		t := o.trouble(o.chance("trouble", r.Key, n))
		if t == 0 {
			break
		}
		f.Troubles = append(f.Troubles, t)
	}
	return f
}

func (o Options) trouble(chance float64) Trouble {
	switch {
	case chance < o.TransientRate:
		return Transient
	case chance < o.TransientRate+o.TimeoutRate:
		return Timeout
	case chance < o.TransientRate+o.TimeoutRate+o.LostAnswerRate:
		return LostAnswer
	}
	return 0
}

// latency returns an exponentially distributed duration, as waiting times are, of at most five times the mean.
func (o Options) latency(key string, attempt int) time.Duration {
	times := min(-math.Log(1-o.chance("latency", key, attempt)), 5)
	return time.Duration(times * float64(o.Latency))
}

// chance returns a number in [0, 1).
func (o Options) chance(purpose, id string, n int) float64 {
	return float64(o.draw(purpose, id, n)>>11) / (1 << 53)
}

// draw is the only source of decisions: the same arguments give the same number, in every process and in any order of
// calls.
func (o Options) draw(purpose, id string, n int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s\x00%d", purpose, id, n)
	return rand.NewPCG(o.Seed, h.Sum64()).Uint64()
}
