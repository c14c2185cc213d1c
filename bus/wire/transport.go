package wire

import (
	"context"
	"errors"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// Transport carries messages between deployables. A Transport is a Watermill publisher and subscriber with further
// promises, which wiretest.Transport checks. All methods are safe for concurrent use.
//
// Topics are names of modules; a transport may add a prefix. A transport that is configured to do so creates a missing
// topic at the first use.
//
// Publish returns nil when a crash of the backend cannot lose any of the messages. Messages with the same key (see
// Key) stay in order, within a call and across calls. After an error the transport may have taken some messages, but
// for each key only the first ones, never a message without those before. To retry, send all messages again, in the
// same order. Publish returns after some seconds at the latest, and at Close. The first Publish to a topic, when
// called without messages, reports whether messages could be sent now. A Refused among the causes of the error names a
// message that must not be sent again.
//
// Subscribe reads a topic for a deployable. The first Subscribe starts at the oldest message. A later Subscribe, in
// any process, starts after the last acknowledged message. The position is stored under the result of PositionName;
// under a new name, Subscribe starts at the oldest message. Subscribe does not wait for an acknowledgement before the
// next message. The next Subscribe delivers unacknowledged messages again, and perhaps some acknowledged messages,
// too. The channel closes when ctx ends, at Close, and when the transport fails. After a failure the next Subscribe
// returns the reason, or succeeds when the failure is over; the caller pauses between calls. Messages with the same
// key are delivered in order, except after a nack: a nacked message is delivered again later. A deployable is one
// process; each transport documents the effect of a second process with the same name.
//
// A message from another program arrives unchanged, however malformed: headers as metadata, the body as payload. A
// message without an id (UUID) gets an id made from the position. A transport never judges messages.
//
// A Transport can be opened while the backend is unreachable. Close ends publishing and subscribing, waits for the
// goroutines, and loses no acknowledgement.
type Transport interface {
	message.Publisher
	message.Subscriber
	// Features returns the abilities of the transport. All calls return the same.
	Features() Features
}

// Features describes the abilities of a transport.
type Features struct {
	Name       string // the kind of transport, such as "kafka"
	MaxPayload int    // limit of the payload of a message, in bytes; 0 means no limit
	// Backend distinguishes topics of the same name in different clusters or databases, or with different prefixes.
	// Backend depends on the settings alone, and is the same in every process of a system. "" means unknown.
	Backend string
	// Identity, if set, asks the backend for its identity, beyond the settings: a backend that has lost its data, or was
	// restored to an earlier state, returns another text. "" means that the identity is not known now.
	Identity func(context.Context) string
	// Claim, if set, detects a second process on a copy of the same journal, for processes that only send. Subscribe does
	// so for processes that read.
	Claim ClaimFunc
	// Warnings, if set, returns risks by topic, each with advice.
	Warnings func() map[string]string
}

// Refused is the error of Publish for a message that will never be accepted, such as a message that is larger than the
// topic allows.
type Refused struct {
	At  int   // the index of the message in the call
	Err error // the reason, with advice
}

// Error implements error.
func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap is for errors.Is and errors.As.
func (r *Refused) Unwrap() error { return r.Err }

type positionKey struct{}

// WithPosition returns a context in which Subscribe uses the consumer position called name: up to 16 letters and
// digits.
func WithPosition(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, positionKey{}, name)
}

// PositionName returns the name of the consumer position of a deployable in a Subscribe with ctx: the name of the
// deployable and, if WithPosition was used, a dot and the name given to WithPosition.
func PositionName(ctx context.Context, deployable string) string {
	if name, _ := ctx.Value(positionKey{}).(string); name != "" {
		return deployable + "." + name
	}
	return deployable
}

type (
	memoryKey struct{}
	reportKey struct{}
)

// WithMemory returns a context in which Subscribe reads for the journal of m. The transport records its position in m,
// and reads the position from m when the backend has no position, or the position of another journal. When the
// transport starts at another position than the journal's, the transport delivers a message with MetaTrouble, and logs
// the reason.
func WithMemory(ctx context.Context, m journal.Memory) context.Context {
	return context.WithValue(ctx, memoryKey{}, m)
}

// MemoryOf returns the memory of WithMemory, or nil.
func MemoryOf(ctx context.Context) journal.Memory {
	m, _ := ctx.Value(memoryKey{}).(journal.Memory)
	return m
}

// WithReport returns a context in which Subscribe calls report with an error when some messages are delayed while
// others are delivered, and with nil when no message is delayed any more.
func WithReport(ctx context.Context, report func(error)) context.Context {
	return context.WithValue(ctx, reportKey{}, report)
}

// Report calls the function of WithReport, if there is a function.
func Report(ctx context.Context, err error) {
	if report, ok := ctx.Value(reportKey{}).(func(error)); ok {
		report(err)
	}
}

// ErrReplaced is an error of Subscribe, Publish, Features.Claim and Ingest.Run: a process that started later reads or
// sends under the same name, on a copy of the same journal. The older process must stop; its transport is of no
// further use.
var ErrReplaced = errors.New("wire: replaced by another process")

// Metadata that a transport adds to a received message. Such metadata are never sent.
const (
	// MetaKey is the key of a message, when ce_subject is another text.
	MetaKey = "_troupe_key"
	// MetaPosition is the position of a message, such as "troupe.order/3/1042". The position is the same at every
	// delivery.
	MetaPosition = "_troupe_place"
	// MetaTrouble is set on a message that stands for a problem of the topic itself, such as messages that were deleted
	// before they were read.
	MetaTrouble = "_troupe_trouble"
	// MetaFirst is set in addition to MetaTrouble when the beginning of the topic was deleted before the topic was first
	// read. A reader that needs no earlier messages has lost nothing.
	MetaFirst = "_troupe_first"
)

// Key returns the key by which msg is kept in order, or "" for a message without order.
func Key(msg *message.Message) string {
	if k, ok := msg.Metadata[MetaKey]; ok {
		return k
	}
	return msg.Metadata[metaSubject]
}

// Sent reports whether the metadata called name are sent over the wire.
func Sent(name string) bool { return !strings.HasPrefix(name, local) }

const local = "_troupe_"
