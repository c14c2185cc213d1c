// Package sim is the outside world that the shop runs against where there is no real one: a payment gateway and a carrier
// that are slow, fail, go silent and lose answers, as real ones do, and that keep a ledger to audit the shop against.
//
// Like a good outside service a World is idempotent by key: the first final answer to a key is kept and repeated. It
// outlives its process: what it has done is in its file before it answers.
//
// Nothing is left to chance or to time. Whether an order is declined, what befalls a call and how long it takes are
// functions of the seed, the key or order id and the number of the attempt, so a run can be repeated.
//
// The package may import domain/payment and domain/shipping, whose ports it stands behind.
package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// What a World fails with, other than *payment.DeclinedError, *shipping.UndeliverableError and the error of a ctx that
// ended first. Any of them can be mended by a later call with the same key, except ErrKeyReused and ErrRequest.
var (
	ErrUnavailable = errors.New("sim: service unavailable")                // nothing was done
	ErrNoAnswer    = errors.New("sim: no answer from the service")         // whether anything was done is open
	ErrKeyReused   = errors.New("sim: key was used for another request")   // nothing was done
	ErrRequest     = errors.New("sim: request cannot be served")           // a key, an order or a sensible amount is missing
	ErrInUse       = errors.New("sim: world is in use by another process") // from Open
	ErrCorrupt     = errors.New("sim: world cannot be read")               // from Open and ReadLedger
	ErrClosed      = errors.New("sim: closed")
)

// Trouble is what can befall one call before it is answered.
type Trouble int

// The troubles of a call.
const (
	Transient  Trouble = iota + 1 // it fails with ErrUnavailable, and nothing is done
	Timeout                       // it stays silent until its ctx ends or Options.Silence is over, and does nothing
	LostAnswer                    // it does its work and then fails with ErrNoAnswer
)

// maxTroubles bounds the troubles that the rates give to one key, so that a retry policy of some attempts always suffices.
const maxTroubles = 3

// Fate is what a rule lays down for one order. The zero Fate is an order with which all goes well.
type Fate struct {
	Declined      string    // the reason why its charge is declined; empty where it is not
	Undeliverable string    // the reason why its parcel cannot be delivered; empty where it can
	Troubles      []Trouble // of the first calls of each key; the calls after them are answered
}

// Options say how well a World works. The zero value is a world in which all goes well at once.
type Options struct {
	// Seed changes every decision that is not laid down by Rules.
	Seed uint64
	// Latency is the mean time that a call takes; single calls take up to five times as long. Defaults to none.
	Latency time.Duration
	// Silence bounds how long a call in Timeout stays silent. Defaults to 30 s.
	Silence time.Duration

	// DeclineRate and UndeliverableRate are the shares of orders, from 0 to 1, whose charge is declined and whose parcel
	// cannot be delivered. They default to 0.
	DeclineRate, UndeliverableRate float64
	// TransientRate, TimeoutRate and LostAnswerRate are the shares of calls, together at most 1, that come to the Trouble
	// of that name. After three troubles a key is answered whatever the rates. They default to 0.
	TransientRate, TimeoutRate, LostAnswerRate float64

	// Rules lays down the Fate of an order by its id, instead of all rates; it reports false where it has none to lay
	// down. It is called from several goroutines at once and must always say the same. Defaults to no rules.
	Rules func(orderID string) (Fate, bool)
}

// validate names every problem of o.
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
		if !(r.rate >= 0 && r.rate <= 1) { // as written it catches NaN too
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

// fate is what lies in store for a call on behalf of an order.
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

// latency is exponentially distributed about the mean, as waiting times are, up to five times the mean.
func (o Options) latency(key string, attempt int) time.Duration {
	times := min(-math.Log(1-o.chance("latency", key, attempt)), 5)
	return time.Duration(times * float64(o.Latency))
}

// chance draws from [0, 1).
func (o Options) chance(purpose, id string, n int) float64 {
	return float64(o.draw(purpose, id, n)>>11) / (1 << 53)
}

// draw is the only source of decisions: the same arguments give the same number in every process, in every order of calls.
func (o Options) draw(purpose, id string, n int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s\x00%d", purpose, id, n)
	return rand.NewPCG(o.Seed, h.Sum64()).Uint64()
}
