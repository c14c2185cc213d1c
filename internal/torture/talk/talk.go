// Package talk has the messages between the torture test and its victim: lines of JSON.
package talk

import (
	"strconv"
	"strings"
	"time"
)

// Values of Request.Do.
const (
	Publish = "publish"
	Work    = "work"    // runs a unit of work that also writes a row
	Heal    = "heal"    // heals the sick handlers; with a Mood, they fall sick again
	Backlog = "backlog" // returns the open work
)

// Values of Answer.Kind.
const (
	Up      = "up" // first line of a victim that runs
	Done    = "done"
	NotDone = "not done"
	Unknown = "unknown"
)

// Patience is the timeout of a publisher's context.
const Patience = 3 * time.Second

// KeyOf returns the key of the event with number n. A key that ends with a star stands for a separate key per event.
func KeyOf(key string, n int) string {
	if prefix, each := strings.CutSuffix(key, "*"); each {
		return prefix + strconv.Itoa(n)
	}
	return key
}

// Request asks the victim to do something. Its events have the key Key, and numbers from N on.
type Request struct {
	ID    int    `json:"id"`
	Do    string `json:"do"`
	Key   string `json:"key,omitempty"`
	N     int    `json:"n,omitempty"`
	Count int    `json:"count,omitempty"`
	Mood  string `json:"mood,omitempty"`
	Size  int    `json:"size,omitempty"`  // bytes of padding of each event
	After int    `json:"after,omitempty"` // milliseconds
}

// Answer is the answer to the request with the same ID.
type Answer struct {
	ID    int    `json:"id"`
	Kind  string `json:"kind"`
	Err   string `json:"err,omitempty"`
	Store bool   `json:"store,omitempty"` // the error blames the store
	Quiet bool   `json:"quiet,omitempty"`
	Text  string `json:"text,omitempty"`
}
