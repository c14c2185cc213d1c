// Package talk is what the torture test and its victim say to each other: lines of JSON.
package talk

import (
	"strconv"
	"strings"
	"time"
)

// What may be asked.
const (
	Publish = "publish"
	Work    = "work"    // a unit of work, with a row of its own beside the events
	Heal    = "heal"    // the sick handlers, or with a Mood makes them sick again
	Backlog = "backlog" // what is left to do
)

// What is answered.
const (
	Up      = "up" // the first line of a process that runs
	Done    = "done"
	NotDone = "not done"
	Unknown = "unknown"
)

// Patience is how long a publisher's context gives the journal.
const Patience = 3 * time.Second

// KeyOf is the key of the event with number n: a key that ends with a star stands for one key per event.
func KeyOf(key string, n int) string {
	if prefix, each := strings.CutSuffix(key, "*"); each {
		return prefix + strconv.Itoa(n)
	}
	return key
}

// Request asks for one thing. Events have the key Key, and numbers from N on.
type Request struct {
	ID    int    `json:"id"`
	Do    string `json:"do"`
	Key   string `json:"key,omitempty"`
	N     int    `json:"n,omitempty"`
	Count int    `json:"count,omitempty"`
	Mood  string `json:"mood,omitempty"`
	Size  int    `json:"size,omitempty"`  // of the padding of each event
	After int    `json:"after,omitempty"` // milliseconds
}

// Answer is the answer to the request with its ID.
type Answer struct {
	ID    int    `json:"id"`
	Kind  string `json:"kind"`
	Err   string `json:"err,omitempty"`
	Store bool   `json:"store,omitempty"` // the store is blamed
	Quiet bool   `json:"quiet,omitempty"`
	Text  string `json:"text,omitempty"`
}
