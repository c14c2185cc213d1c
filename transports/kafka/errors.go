package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// passing are the answers of brokers after which the same request may succeed: leaders move, brokers start and stop.
var passing = map[sarama.KError]bool{
	sarama.ErrUnknownTopicOrPartition: true, sarama.ErrLeaderNotAvailable: true, sarama.ErrNotLeaderForPartition: true,
	sarama.ErrRequestTimedOut: true, sarama.ErrBrokerNotAvailable: true, sarama.ErrReplicaNotAvailable: true,
	sarama.ErrNetworkException: true, sarama.ErrNotEnoughReplicas: true, sarama.ErrNotEnoughReplicasAfterAppend: true,
	sarama.ErrKafkaStorageError: true, sarama.ErrFencedLeaderEpoch: true, sarama.ErrUnknownLeaderEpoch: true,
	sarama.ErrInvalidMessage: true, sarama.ErrOffsetNotAvailable: true, sarama.ErrOffsetsLoadInProgress: true,
	sarama.ErrConsumerCoordinatorNotAvailable: true, sarama.ErrNotCoordinatorForConsumer: true,
	sarama.ErrThrottlingQuotaExceeded: true, sarama.ErrUnstableOffsetCommit: true, sarama.ErrNotController: true,
	sarama.ErrStaleControllerEpochCode: true, sarama.ErrReassignmentInProgress: true, sarama.ErrUnknown: true,
}

// missing is that a topic does not exist, and is not made here. It says what to do.
type missing struct{ error }

// Unwrap is for errors.Is and errors.As.
func (m missing) Unwrap() error { return m.error }

// trouble is what ended a subscription that nobody else did.
type trouble struct{ error }

// Unwrap is for errors.Is and errors.As.
func (t trouble) Unwrap() error { return t.error }

// refused reports whether err is an answer that asking again does not change. Everything about the network may.
func refused(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(joined.Unwrap(), refused)
	}
	var answer sarama.KError
	if errors.As(err, &answer) {
		return !passing[answer]
	}
	var encoding sarama.PacketEncodingError
	return errors.As(err, &encoding) || errors.Is(err, sarama.ErrSASLAuthenticationFailed) || // which As does not find in what sarama makes of it
		errors.Is(err, sarama.ErrUnsupportedVersion)
}

// strangers reports whether err is that the place of a group cannot be written because it has members. Nobody is a member here, and
// nothing is taken away by one; but who reads again from the last place that was written, again and again, would get nowhere.
func strangers(err error) bool {
	return errors.Is(err, sarama.ErrUnknownMemberId) || errors.Is(err, sarama.ErrIllegalGeneration) || errors.Is(err, sarama.ErrRebalanceInProgress)
}

// explain adds to err what somebody can do about it. What it was about needs a right to topic, READ or WRITE.
func (t *Transport) explain(err error, topic, right string) error {
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
	err = line{err}
	var missing missing
	var exposed exposed
	switch {
	case errors.As(err, &missing), errors.As(err, &exposed): // says it
		return err
	case is(errNotKafka):
		return fmt.Errorf("what answers does not speak Kafka's protocol: check the addresses %v, and that the port is not that of an HTTP server, or of a listener with TLS (%t here): %w",
			t.cfg.Brokers, t.cfg.TLS.Enabled, err)
	case is(sarama.ErrSASLAuthenticationFailed):
		return fmt.Errorf("the broker does not let %s in: check SASL's Mechanism, User and Password: %w", t.who(), err)
	case is(sarama.ErrUnsupportedSASLMechanism):
		return fmt.Errorf("the listener at %v does not know SASL's Mechanism %s: use one of its sasl.enabled.mechanisms, or the port of another listener: %w",
			t.cfg.Brokers, t.cfg.SASL.Mechanism, err)
	case is(sarama.ErrIllegalSASLState):
		return fmt.Errorf("the listener at %v takes no login: use the port of one that does, or clear SASL: %w", t.cfg.Brokers, err)
	case is(sarama.ErrTopicAuthorizationFailed):
		return fmt.Errorf("%s is not allowed to: grant %s on topic %s, and CREATE if it is to be made here: %w", t.who(), right, topic, err)
	case is(sarama.ErrGroupAuthorizationFailed):
		return fmt.Errorf("%s may not keep its place: grant READ on all groups whose names begin with %s (--resource-pattern-type prefixed): %w",
			t.who(), t.cfg.Group, err)
	case is(sarama.ErrClusterAuthorizationFailed):
		return fmt.Errorf("%s is not allowed to: grant %s on topic %s; brokers before Kafka 2.8 want IDEMPOTENT_WRITE on the cluster, too: %w",
			t.who(), right, topic, err)
	case is(sarama.ErrInvalidTimestamp):
		return fmt.Errorf("topic %s takes no events of this time, %s: set this machine's clock, or have the broker stamp them: kafka-configs.sh --bootstrap-server %s --alter --topic %s --add-config %s=%s: %w",
			topic, time.Now().UTC().Format(time.RFC3339), strings.Join(t.cfg.Brokers, ","), topic, settingTime, brokersTime, err)
	case strangers(err):
		return fmt.Errorf("the group has members of its own: give this deployable one that nobody else uses: %w", err)
	case is(sarama.ErrUnknownTopicOrPartition):
		return fmt.Errorf("the topic is gone: it is made anew when it is next used, unless that is left to others: %w", err)
	case is(sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend):
		return fmt.Errorf("fewer replicas of topic %s are in sync than its min.insync.replicas: start the brokers that are down; kafka-topics.sh --bootstrap-server %s --describe --topic %[1]s shows which: %[3]w",
			topic, strings.Join(t.cfg.Brokers, ","), err)
	case is(lacking...):
		return fmt.Errorf("brokers answer at %v, but too few work for this: start those that are down: %w", t.cfg.Brokers, err)
	default:
		return t.unreached(err)
	}
}

// lacking are the answers of brokers that miss others: leaders, replicas, or the majority of the controllers.
var lacking = []error{
	sarama.ErrLeaderNotAvailable, sarama.ErrNotLeaderForPartition, sarama.ErrReplicaNotAvailable, sarama.ErrBrokerNotAvailable,
	sarama.ErrRequestTimedOut, sarama.ErrOffsetNotAvailable, sarama.ErrOffsetsLoadInProgress,
	sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer, sarama.ErrNotController,
}

// who is what the brokers know this client as.
func (t *Transport) who() string {
	if t.cfg.SASL.User != "" {
		return "user " + t.cfg.SASL.User
	}
	return "this client"
}

// unreached is explain for what stands between this client and a broker.
func (t *Transport) unreached(err error) error {
	var (
		untrusted *tls.CertificateVerificationError
		network   net.Error
		op        *net.OpError
		noTLS     tls.RecordHeaderError
		garbled   sarama.PacketDecodingError
	)
	isNetwork := errors.As(err, &network)
	cut := isNetwork && (errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled)) // here, for lack of an answer
	hungUp := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &noTLS) || errors.As(err, &garbled)
	switch {
	case errors.As(err, &untrusted):
		return fmt.Errorf("the certificate of the broker at %v is not trusted: set TLS.CAFile to those who vouch for it, and TLS.ServerName if it has another name: %w",
			t.cfg.Brokers, err)
	case errors.As(err, &op) && op.Op == "remote error": // an alert of TLS
		return fmt.Errorf("the broker at %v breaks TLS off: it is likely to want a certificate of this client, or another one: set TLS.CertFile and TLS.KeyFile: %w",
			t.cfg.Brokers, err)
	case t.slow.Load() > 0 && unanswered(err):
		return fmt.Errorf("a broker of the cluster at %v takes long to answer: start those that are down, and see whether it is overloaded, or the network is; from now on it gets %v: %w",
			t.cfg.Brokers, t.patience(), err)
	case cut, (isNetwork || hungUp) && !errors.Is(err, sarama.ErrOutOfBrokers): // who named the others does
		return fmt.Errorf("a broker of the cluster at %v does not answer: start those that are down, and check that all can be reached from here under their advertised.listeners: %w",
			t.cfg.Brokers, err)
	case hungUp && !isNetwork:
		return fmt.Errorf("the broker at %v hangs up: if it goes on so, check that its listener wants TLS (%t) and login (%v) as they are: %w",
			t.cfg.Brokers, t.cfg.TLS.Enabled, t.cfg.SASL, err)
	case errors.Is(err, sarama.ErrOutOfBrokers):
		return fmt.Errorf("no broker answers at %v: check that Kafka runs there, and wants TLS (%t) and login (%v) as they are: %w",
			t.cfg.Brokers, t.cfg.TLS.Enabled, t.cfg.SASL, err)
	default:
		return err
	}
}

// line is an error in one line; what sarama joins has several.
type line struct{ error }

// Error implements error.
func (l line) Error() string { return strings.ReplaceAll(l.error.Error(), "\n", "; ") }

// Unwrap is for errors.Is and errors.As.
func (l line) Unwrap() error { return l.error }

// several are errors in one line.
type several []error

// Error implements error.
func (s several) Error() string {
	texts := make([]string, len(s))
	for i, err := range s {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap is for errors.Is and errors.As.
func (s several) Unwrap() []error { return s }

// because is err, with why ctx ended.
func because(ctx context.Context, err error) error {
	why := context.Cause(ctx)
	if errors.Is(err, why) { // says it already
		return err
	}
	return join(why, err)
}

// join is errors.Join in one line, each text once.
func join(errs ...error) error {
	var r reasons
	for _, err := range errs {
		r.add(err)
	}
	return r.join()
}

// reasons collects errors, each text once: five hundred messages that fail do so for one reason.
type reasons struct {
	mu   sync.Mutex
	errs several
}

// add takes err, unless it is nil.
func (r *reasons) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && !slices.ContainsFunc(r.errs, func(e error) bool { return e.Error() == err.Error() }) {
		r.errs = append(r.errs, err)
	}
}

// join is what was collected, nil if that is nothing.
func (r *reasons) join() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch len(r.errs) {
	case 0:
		return nil
	case 1:
		return r.errs[0]
	default:
		return r.errs
	}
}
