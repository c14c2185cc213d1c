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

// transient lists the broker errors after which the same request may succeed: leaders move, brokers start and stop.
var transient = map[sarama.KError]bool{
	sarama.ErrUnknownTopicOrPartition: true, sarama.ErrLeaderNotAvailable: true, sarama.ErrNotLeaderForPartition: true,
	sarama.ErrRequestTimedOut: true, sarama.ErrBrokerNotAvailable: true, sarama.ErrReplicaNotAvailable: true,
	sarama.ErrNetworkException: true, sarama.ErrNotEnoughReplicas: true, sarama.ErrNotEnoughReplicasAfterAppend: true,
	sarama.ErrKafkaStorageError: true, sarama.ErrFencedLeaderEpoch: true, sarama.ErrUnknownLeaderEpoch: true,
	sarama.ErrInvalidMessage: true, sarama.ErrOffsetNotAvailable: true, sarama.ErrOffsetsLoadInProgress: true,
	sarama.ErrConsumerCoordinatorNotAvailable: true, sarama.ErrNotCoordinatorForConsumer: true,
	sarama.ErrThrottlingQuotaExceeded: true, sarama.ErrUnstableOffsetCommit: true, sarama.ErrNotController: true,
	sarama.ErrStaleControllerEpochCode: true, sarama.ErrReassignmentInProgress: true, sarama.ErrUnknown: true,
}

// unusableTopic is the error for a topic that cannot be used as it is, such as a missing topic. The text says how to
// change that.
type unusableTopic struct{ error }

// Unwrap is for errors.Is and errors.As.
func (u unusableTopic) Unwrap() error { return u.error }

// failure is the cause of a subscription that ended because of an error, not because of its context or Close.
type failure struct{ error }

// Unwrap is for errors.Is and errors.As.
func (f failure) Unwrap() error { return f.error }

// permanent reports whether err is a broker's answer that a retry cannot change. Network errors are not.
func permanent(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(joined.Unwrap(), permanent)
	}
	var answer sarama.KError
	if errors.As(err, &answer) {
		return !transient[answer]
	}
	var encoding sarama.PacketEncodingError
	// Sarama wraps the failed login so that As does not find the KError.
	return errors.As(err, &encoding) || errors.Is(err, sarama.ErrSASLAuthenticationFailed) ||
		errors.Is(err, sarama.ErrUnsupportedVersion)
}

// hasMembers reports whether offsets cannot be committed because the group has active members. We never join the group,
// so another program is using it. Messages still arrive. But a subscription that ended because of this error would
// begin at the last committed offset again and again, and get nowhere.
func hasMembers(err error) bool {
	return errors.Is(err, sarama.ErrUnknownMemberId) || errors.Is(err, sarama.ErrIllegalGeneration) ||
		errors.Is(err, sarama.ErrRebalanceInProgress)
}

// explain adds advice to err. right is the operation on topic, READ or WRITE, for which the failed call needs a grant.
func (t *Transport) explain(err error, topic, right string) error {
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
	err = oneLine{err}
	var unusable unusableTopic
	var insecure exposed
	switch {
	case errors.As(err, &unusable), errors.As(err, &insecure): // with advice already
		return err
	case is(errNotKafka):
		return fmt.Errorf("the server does not speak Kafka's protocol: check that the addresses %v are not those of an HTTP server, or of a listener that requires TLS (enabled: %t): %w",
			t.cfg.Brokers, t.cfg.TLS.Enabled, err)
	case is(sarama.ErrSASLAuthenticationFailed):
		return fmt.Errorf("the broker refuses the login of %s: check SASL.Mechanism, SASL.User and SASL.Password: %w", t.clientName(), err)
	case is(sarama.ErrUnsupportedSASLMechanism):
		return fmt.Errorf("the listener at %v does not support SASL mechanism %s: use a mechanism of its sasl.enabled.mechanisms, or the port of another listener: %w",
			t.cfg.Brokers, t.cfg.SASL.Mechanism, err)
	case is(sarama.ErrIllegalSASLState):
		return fmt.Errorf("the listener at %v accepts no login: use the port of a listener with SASL, or clear SASL: %w", t.cfg.Brokers, err)
	case is(sarama.ErrTopicAuthorizationFailed):
		return fmt.Errorf("%s is not authorized: grant %s on topic %s, and CREATE if the topic is missing: %w", t.clientName(), right, topic, err)
	case is(sarama.ErrGroupAuthorizationFailed):
		return fmt.Errorf("%s may not commit offsets: grant READ on all groups whose names begin with %s (--resource-pattern-type prefixed): %w",
			t.clientName(), t.cfg.Group, err)
	case is(sarama.ErrClusterAuthorizationFailed):
		return fmt.Errorf("%s is not authorized: grant %s on topic %s; brokers before Kafka 2.8 require IDEMPOTENT_WRITE on the cluster, too: %w",
			t.clientName(), right, topic, err)
	case is(sarama.ErrInvalidTimestamp):
		return fmt.Errorf("topic %s refuses events with the present time, %s: set this machine's clock, or let the broker stamp the events: kafka-configs.sh --bootstrap-server %s --alter --topic %s --add-config %s=%s: %w",
			topic, time.Now().UTC().Format(time.RFC3339), strings.Join(t.cfg.Brokers, ","), topic, settingTime, brokersTime, err)
	case hasMembers(err):
		return fmt.Errorf("the consumer group has active members, so another program uses it: give this deployable a group of its own: %w", err)
	case is(sarama.ErrUnknownTopicOrPartition):
		return fmt.Errorf("the topic was deleted: the next use creates it again, unless Config.NoCreate is set: %w", err)
	case is(sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend):
		return fmt.Errorf("fewer replicas of topic %s are in sync than its min.insync.replicas: start the brokers that are down; kafka-topics.sh --bootstrap-server %s --describe --topic %[1]s shows which: %[3]w",
			topic, strings.Join(t.cfg.Brokers, ","), err)
	case is(degraded...):
		return fmt.Errorf("brokers answer at %v, but not enough of them: start the brokers that are down: %w", t.cfg.Brokers, err)
	default:
		return t.explainConnection(err)
	}
}

// degraded lists the answers of brokers that lack other brokers: leaders, replicas, or the majority of the controllers.
var degraded = []error{
	sarama.ErrLeaderNotAvailable, sarama.ErrNotLeaderForPartition, sarama.ErrReplicaNotAvailable,
	sarama.ErrBrokerNotAvailable, sarama.ErrRequestTimedOut, sarama.ErrOffsetNotAvailable, sarama.ErrOffsetsLoadInProgress,
	sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer, sarama.ErrNotController,
}

// clientName returns the name by which the brokers know this client.
func (t *Transport) clientName() string {
	if t.cfg.SASL.User != "" {
		return "user " + t.cfg.SASL.User
	}
	return "this client"
}

// explainConnection adds advice to an error of a connection.
func (t *Transport) explainConnection(err error) error {
	var (
		untrusted *tls.CertificateVerificationError
		network   net.Error
		op        *net.OpError
		noTLS     tls.RecordHeaderError
		garbled   sarama.PacketDecodingError
	)
	isNetwork := errors.As(err, &network)
	// We close a connection for lack of an answer.
	cut := isNetwork && (errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled))
	hungUp := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &noTLS) ||
		errors.As(err, &garbled)
	switch {
	case errors.As(err, &untrusted):
		return fmt.Errorf("the certificate of the broker at %v is not trusted: set TLS.CAFile to the CA that signed it, and TLS.ServerName if the certificate has another name: %w",
			t.cfg.Brokers, err)
	case errors.As(err, &op) && op.Op == "remote error": // a TLS alert
		return fmt.Errorf("the broker at %v aborts TLS: it probably requires a certificate of this client, or another certificate: set TLS.CertFile and TLS.KeyFile: %w",
			t.cfg.Brokers, err)
	case t.slow.Load() > 0 && unanswered(err):
		return fmt.Errorf("a broker of the cluster at %v answers slowly: start the brokers that are down, and check the load of brokers and network; from now on, this client waits up to %v: %w",
			t.cfg.Brokers, t.patience(), err)
	case cut, (isNetwork || hungUp) && !errors.Is(err, sarama.ErrOutOfBrokers): // the bootstrap broker answers
		return fmt.Errorf("a broker of the cluster at %v does not answer: start the brokers that are down, and check that this machine can reach all brokers at their advertised.listeners: %w",
			t.cfg.Brokers, err)
	case hungUp && !isNetwork:
		return fmt.Errorf("the broker at %v closes the connection: if this goes on, check that its listener expects TLS (%t) and login (%v) as configured: %w",
			t.cfg.Brokers, t.cfg.TLS.Enabled, t.cfg.SASL, err)
	case errors.Is(err, sarama.ErrOutOfBrokers):
		return fmt.Errorf("no broker answers at %v: check that Kafka runs there, and expects TLS (%t) and login (%v) as configured: %w",
			t.cfg.Brokers, t.cfg.TLS.Enabled, t.cfg.SASL, err)
	default:
		return err
	}
}

// oneLine prints an error on a single line. Errors that sarama joins have several.
type oneLine struct{ error }

// Error implements error.
func (l oneLine) Error() string { return strings.ReplaceAll(l.error.Error(), "\n", "; ") }

// Unwrap is for errors.Is and errors.As.
func (l oneLine) Unwrap() error { return l.error }

// errorList prints several errors on a single line.
type errorList []error

// Error implements error.
func (e errorList) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap is for errors.Is and errors.As.
func (e errorList) Unwrap() []error { return e }

// withCause returns err together with the reason why ctx ended.
func withCause(ctx context.Context, err error) error {
	why := context.Cause(ctx)
	if errors.Is(err, why) { // err contains the reason
		return err
	}
	return join(why, err)
}

// join is errors.Join on a single line, without repeated texts.
func join(errs ...error) error {
	var r reasons
	for _, err := range errs {
		r.add(err)
	}
	return r.join()
}

// reasons collects errors without repeated texts: five hundred messages fail for the same reason.
type reasons struct {
	mu   sync.Mutex
	errs errorList
}

// add adds err, unless err is nil or its text is known.
func (r *reasons) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && !slices.ContainsFunc(r.errs, func(e error) bool { return e.Error() == err.Error() }) {
		r.errs = append(r.errs, err)
	}
}

// join returns the collected errors, or nil.
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
