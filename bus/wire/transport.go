package wire

import (
	"context"
	"errors"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
)

// Transport carries messages between deployables. It is a Watermill publisher and subscriber that keeps some promises more;
// wiretest.Transport holds an implementation to all of them. Its methods are safe for concurrent use.
//
// Topics are names of modules; a transport may add a prefix of its own. It makes a topic that is missing when it is first
// used, if it is configured to.
//
// Publish returns nil when every message is where a crash of the carrier does not reach it. Messages of one key (Key) come
// out in the order in which they went in, within a call and from one call to the next. With an error, some of them may
// have been taken, but of a key only the first ones: none without those before it. Whoever sends again sends all of them again, in
// the same order. Publish gives up by itself after some seconds, and at Close. Without messages the first Publish to a topic says
// whether messages could be sent there now. A Refused among the error's causes is about one message, which is not to be sent again.
//
// Subscribe reads a topic for one deployable: from the oldest message on the first time, later from behind the last one
// that was acknowledged, in whatever process that was. The place is kept under what PlaceOf makes of the deployable's name:
// under another one it reads from the oldest message again. It does not wait for one acknowledgement before it delivers the next
// message. What was not acknowledged when the channel closes is delivered again by the next Subscribe, and some that was may
// be, too. The channel closes when ctx ends, at Close, and when the transport is in trouble; then Subscribe says what the
// trouble is, or succeeds when it is over. Whoever calls it in a loop sees to the pauses. Of messages of one key none
// overtakes another, unless one is nacked: that is delivered again, later. A deployable is one process: what a second one of
// the same name does to the first is the transport's to say.
//
// What another program wrote arrives as it is, however malformed: its headers as metadata, its bytes as payload, with an
// id (UUID) made of its place if it has none. A transport never judges messages.
//
// Making a Transport does not need its carrier: that may be away. Close ends both halves, waits for their goroutines, and
// loses nothing that was acknowledged.
type Transport interface {
	message.Publisher
	message.Subscriber
	// Features returns what the transport can do. It is the same at every call.
	Features() Features
}

// Features says what a transport can do.
type Features struct {
	Name       string // of the kind, such as "kafka"
	MaxPayload int    // bytes that the payload of a message may have; 0 where there is no limit of its own
	// Backend tells topics of one name apart: those of another cluster or database, or with another prefix. It comes of the
	// settings alone, and is the same in every process of a system. "" is not known.
	Backend string
	// Identity, where it is set, asks the carrier which one it is, beyond its settings: one that lost what it had, or was put back to an
	// earlier state, answers with another text. "" is not known now.
	Identity func(context.Context) string
	// Claim, where it is set, tells processes on copies of one journal apart that only send; Subscribe does so for those that read.
	Claim ClaimFunc
	// Warnings, where it is set, returns what may go wrong with topics, though nothing has: by topic, with what to do about it.
	Warnings func() map[string]string
}

// Refused is an error of Publish that one message is the reason of: it is not taken now, and would not be later, such as one
// that is larger than its topic takes.
type Refused struct {
	At  int   // its index among the messages of the call
	Err error // why, with what to do about it
}

// Error implements error.
func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap is for errors.Is and errors.As.
func (r *Refused) Unwrap() error { return r.Err }

type placeKey struct{}

// WithPosition returns ctx for a Subscribe whose place has that name: letters and digits, up to 16.
func WithPosition(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, placeKey{}, name)
}

// PositionName is what the place of a deployable is called in a Subscribe with ctx: the name that it goes by and, after a dot, the
// one that WithPlace gave, if it did.
func PositionName(ctx context.Context, deployable string) string {
	if name, _ := ctx.Value(placeKey{}).(string); name != "" {
		return deployable + "." + name
	}
	return deployable
}

type (
	memoryKey struct{}
	reportKey struct{}
)

// WithMemory returns ctx for a Subscribe of the journal whose memory m is. The transport notes there how far it has read, asks there
// where the carrier's own position is missing or another journal's, and tells with a message that has MetaTrouble set, and in the
// log, when it begins elsewhere than where the journal was.
func WithMemory(ctx context.Context, m journal.Memory) context.Context {
	return context.WithValue(ctx, memoryKey{}, m)
}

// MemoryOf returns what WithMemory gave, or nil.
func MemoryOf(ctx context.Context) journal.Memory {
	m, _ := ctx.Value(memoryKey{}).(journal.Memory)
	return m
}

// WithReport returns ctx for a Subscribe that calls report when something holds messages up, though it goes on reading, and with nil
// when that is over.
func WithReport(ctx context.Context, report func(error)) context.Context {
	return context.WithValue(ctx, reportKey{}, report)
}

// Report calls the function that WithReport gave, if it did.
func Report(ctx context.Context, err error) {
	if report, ok := ctx.Value(reportKey{}).(func(error)); ok {
		report(err)
	}
}

// ErrReplaced is an error of Subscribe, Publish and Features.Claim, and of Ingest.Run: another process, which started later, reads or
// sends under the same name on a copy of the same journal. The transport is of no more use: the older process is to stop.
var ErrReplaced = errors.New("wire: replaced by another process")

// Metadata that tell more about a message than its sender wrote. They are the transport's, and never sent.
const (
	// MetaKey is the key of a message that came with one which is not its ce_subject.
	MetaKey = "_troupe_key"
	// MetaPosition says where a message was found, such as "troupe.order/3/1042". It is the same whenever it is delivered.
	MetaPosition = "_troupe_place"
	// MetaTrouble is set on a message that stands for something that went wrong with the topic itself, such as
	// messages that were deleted before anybody read them.
	MetaTrouble = "_troupe_trouble"
	// MetaFirst is set, besides, where the trouble is only that a topic's beginning was deleted before it was first read: who does not
	// claim to know what was before it lacks nothing.
	MetaFirst = "_troupe_first"
)

// Key is the key by which msg is kept in order; "" means that none is asked for.
func Key(msg *message.Message) string {
	if k, ok := msg.Metadata[MetaKey]; ok {
		return k
	}
	return msg.Metadata[metaSubject]
}

// Sent reports whether metadata called name goes over the wire.
func Sent(name string) bool { return !strings.HasPrefix(name, local) }

const local = "_troupe_"
