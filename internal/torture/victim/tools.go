package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/mattn/go-sqlite3" // the driver

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/transports/sqlite"
)

// foreign publishes events in a transaction of its own, and prints "done" after the commit.
func foreign(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("foreign", flag.ContinueOnError)
	path := flags.String("journal", "", "journal file")
	key := flags.String("key", "", "key of the events")
	first := flags.Int("first", 0, "number of the first event")
	count := flags.Int("count", 1, "number of events; 0 only holds the lock")
	hold := flags.Duration("hold", 0, "time before the commit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", "file:"+*path+"?mode=rw&_txlock=immediate&_busy_timeout=2000&_foreign_keys=1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after a commit
	publisher, err := watermillsql.NewPublisher(tx, watermillsql.PublisherConfig{SchemaAdapter: sqlite.SchemaAdapter{}},
		nil)
	if err != nil {
		return err
	}
	var messages []*message.Message
	for i := range *count {
		data, err := json.Marshal(Asked{Key: *key, N: *first + i})
		if err != nil {
			return err
		}
		m := message.NewMessage(fmt.Sprintf("foreign-%s-%d", *key, *first+i), data)
		m.Metadata.Set("ce_subject", *key)
		messages = append(messages, m)
	}
	if len(messages) > 0 {
		if err := publisher.Publish(Asked{}.EventType(), messages...); err != nil {
			return err
		}
	}
	pause.For(ctx, *hold)
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = fmt.Println("done")
	return err
}

// read holds a snapshot.
func read(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("read", flag.ContinueOnError)
	path := flags.String("journal", "", "journal file")
	hold := flags.Duration("hold", 0, "time to hold the snapshot")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := sqlite.OpenReader(ctx, *path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return r.View(ctx, func(tx *sql.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM events").Scan(&n)
		pause.For(ctx, *hold)
		return err
	})
}

// now prints the time that this process sees.
func now(context.Context, []string) error {
	_, err := fmt.Println(time.Now().UnixMicro())
	return err
}
