package clock

import (
	"context"
	crand "crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/troupebus/troupe/bus"
)

type e struct {
	ID string
	At time.Time
	N  int64
}

func (e) EventType() string { return "e" }

type client interface {
	Charge(ctx context.Context, key string, took time.Duration) (string, error)
}

type desk struct {
	m    *bus.Module
	out  client
	took time.Duration
}

func (d *desk) wire() {
	bus.On(d.m, "events", func(ctx context.Context, in e) (bus.Events, error) {
		out := bus.Emit(e{At: time.Now()}, e{ID: uuid.NewString()}) // want "time.Now returns another value when a handler runs again, and the value gets into an event: use bus.Now" "uuid.NewString .* an event: use bus.NewID"
		now := time.Now()                                           // want "time.Now .* an event"
		due := now.Add(time.Hour)
		next := e{ID: in.ID}
		next.At = due.UTC()
		out = append(out, bus.Emit(next)...)
		id := fmt.Sprintf("%s-%d", in.ID, rand.IntN(10)) // want "rand.IntN .* an event"
		out = append(out, bus.After(time.Minute, e{ID: id}))
		out = append(out, bus.At(time.Now().Add(time.Hour), in))                                    // want "time.Now .* an event"
		out = append(out, bus.Emit(e{At: later(), ID: uuid.NewSHA1(uuid.UUID{}, nil).String()})...) // want "time.Now .* an event"
		out = append(out, bus.Emit(e{At: bus.Now(ctx), ID: bus.NewID(ctx)})...)
		return out, nil
	}).Emits(e{})
	bus.On(d.m, "rows", func(ctx context.Context, in e) (bus.Events, error) {
		var b [8]byte
		crand.Read(b[:]) // want "rand.Read .* a row: use bus.NewID"
		bus.Tx(ctx).Exec("INSERT", in.ID, b[:])
		tx := bus.Tx(ctx)
		note(ctx, tx, in.ID, time.Now().Unix()) // want "time.Now .* a row"
		log(tx)
		return nil, nil
	})
	bus.On(d.m, "right", func(ctx context.Context, in e) (bus.Events, error) {
		start := time.Now()
		reference, err := d.out.Charge(ctx, bus.Delivery(ctx).ID, time.Since(start))
		d.took = time.Since(start)
		slog.InfoContext(ctx, "charged", "took", time.Since(start), "sample", rand.IntN(2))
		if time.Since(bus.Delivery(ctx).Time) > time.Hour {
			return bus.Emit(e{ID: "late"}), err
		}
		expired := time.Now().After(in.At)
		bus.Tx(ctx).Exec("UPDATE", expired, in.ID)
		return bus.Emit(e{ID: reference}), err
	}).External(1)
	bus.On(d.m, "calls", func(ctx context.Context, in e) (bus.Events, error) {
		_, err := d.out.Charge(ctx, uuid.New().String(), time.Duration(rand.Int64())) // want "uuid.New .* a call to the outside: use bus.NewID"
		bus.Tx(ctx).Exec("INSERT", time.Now())                                        //troupe:allow clock the row is a log of attempts
		return nil, err
	}).External(1)
	d.m.Every("tick", "1h", func(t time.Time) bus.Event {
		if t.IsZero() {
			return e{At: time.Now()} // want "time.Now .* an event: use the due time"
		}
		return e{At: t}
	})
}

func later() time.Time { return time.Now().Add(time.Hour) }

func note(ctx context.Context, tx bus.SQL, id string, at int64) error { return nil }

// log is reached from a handler.
func log(tx bus.SQL) { tx.Exec("INSERT", time.Now()) } // want "time.Now .* a row"

// unreached is called by no handler.
func unreached(tx *sql.Tx) { tx.Exec("INSERT", time.Now()) }

func (d *desk) open(ctx context.Context) {
	now, id := time.Now(), uuid.NewString() // once for each call, however often the function of Do runs
	d.m.Do(ctx, func(ctx context.Context) (bus.Events, error) {
		bus.Tx(ctx).Exec("INSERT", now, time.Now()) // want "time.Now returns another value when a unit of work runs again, and the value gets into a row"
		return bus.Emit(e{At: now, ID: id}), nil
	})
}
