package sqlitetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/url"
	"path/filepath"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Act is a bustest.Act: an act of another process on the journals of a system. journal returns the path of the journal
// of the deployable that runs a module.
type Act = func(ctx context.Context, journal func(module string) string) error

// Replay is the act of replaying the dead letters of a subscription. Without dead letters, the act does nothing.
func Replay(subscription string) Act {
	return func(ctx context.Context, fileOf func(module string) string) error {
		_, err := sqlite.Replay(ctx, fileOf(journal.ModuleOf(subscription)), letters(subscription))
		return unlessNone(err)
	}
}

// Drop is the act of dropping the dead letters of a subscription. Without dead letters, the act does nothing.
func Drop(subscription string) Act {
	return func(ctx context.Context, fileOf func(module string) string) error {
		_, err := sqlite.Drop(ctx, fileOf(journal.ModuleOf(subscription)), letters(subscription))
		return unlessNone(err)
	}
}

// Retry is the act of retrying the waiting deliveries of a subscription at once. Without waiting deliveries, the act
// does nothing.
func Retry(subscription string) Act {
	return func(ctx context.Context, fileOf func(module string) string) error {
		_, err := sqlite.RetryNow(ctx, fileOf(journal.ModuleOf(subscription)), sqlite.OpenAct{Actor: "test", Reason: "test", Subscription: subscription})
		return unlessNone(err)
	}
}

// Retire is the act of retiring a subscription, whose open work is dropped, so that a program without the subscription
// can start. The act needs the journal for itself: see App.Deploy and App.WhileStopped.
func Retire(subscription string) Act {
	return func(ctx context.Context, fileOf func(module string) string) error {
		_, err := sqlite.Retire(ctx, fileOf(journal.ModuleOf(subscription)), sqlite.OpenAct{Actor: "test", Reason: "test", Subscription: subscription})
		return err
	}
}

// Resend is the act of resending all events that the deployable of a module has for others. The act needs the journal
// for itself: see App.WhileStopped.
func Resend(module string) Act {
	return func(ctx context.Context, fileOf func(module string) string) error {
		_, err := sqlite.Resend(ctx, fileOf(module), time.Time{})
		return err
	}
}

func letters(subscription string) sqlite.Act {
	return sqlite.Act{Actor: "test", Reason: "test", Select: sqlite.DeadLetterFilter{Subscription: subscription}}
}

func unlessNone(err error) error {
	if errors.Is(err, sqlite.ErrNotFound) {
		return nil
	}
	return err
}

// Publish is the act of a foreign program that publishes an event to the journal of a module, in a transaction of its
// own. id identifies the event: an event with an existing id is not published again.
func Publish(module, eventType, id, key string, payload any) Act {
	return func(ctx context.Context, fileOf func(module string) string) error {
		data, err := json.Marshal(payload)
		if err != nil {
			return err
		}
		msg := message.NewMessage(id, data)
		msg.Metadata.Set("ce_subject", key)
		q, err := sqlite.SchemaAdapter{}.InsertQuery(eventType, message.Messages{msg})
		if err != nil {
			return err
		}
		return write(ctx, fileOf(module), q.Query, q.Args...)
	}
}

// Write is the act of a foreign program that executes query on the journal of a module, in a transaction of its own.
func Write(module, query string, args ...any) Act {
	return func(ctx context.Context, fileOf func(module string) string) error {
		return write(ctx, fileOf(module), query, args...)
	}
}

// write executes query on the database at path.
func write(ctx context.Context, path, query string, args ...any) (err error) {
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+"?mode=rw&_txlock=immediate&_busy_timeout=10000")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, query, args...)
	return err
}
