package kafka

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

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
	return errors.As(err, &encoding) || errors.Is(err, sarama.ErrUnsupportedVersion)
}

// strangers reports whether err is that the place of a group cannot be written because it has members. Nobody is a member here, and
// nothing is taken away by one; but who reads again from the last place that was written, again and again, would get nowhere.
func strangers(err error) bool {
	return errors.Is(err, sarama.ErrUnknownMemberId) || errors.Is(err, sarama.ErrIllegalGeneration) || errors.Is(err, sarama.ErrRebalanceInProgress)
}

// explain adds to err what somebody can do about it.
func (t *Transport) explain(err error, topic string) error {
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	who := "this client"
	if t.cfg.SASL.User != "" {
		who = "user " + t.cfg.SASL.User
	}
	var network net.Error
	switch {
	case is(sarama.ErrSASLAuthenticationFailed, sarama.ErrUnsupportedSASLMechanism, sarama.ErrIllegalSASLState):
		return fmt.Errorf("the broker does not let %s in: check SASL's Mechanism, User and Password: %w", who, err)
	case is(sarama.ErrTopicAuthorizationFailed):
		return fmt.Errorf("%s is not allowed to: grant DESCRIBE, READ and WRITE on topic %s: %w", who, topic, err)
	case is(sarama.ErrGroupAuthorizationFailed):
		return fmt.Errorf("%s may not keep its place: grant READ on group %[2]s, and on %[2]s.* for places with a name: %[3]w", who, t.cfg.Group, err)
	case is(sarama.ErrClusterAuthorizationFailed):
		return fmt.Errorf("%s is not allowed to: grant IDEMPOTENT_WRITE on the cluster: %w", who, err)
	case is(sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge):
		return fmt.Errorf("%w: raise max.message.bytes of topic %s: %w", ErrTooLarge, topic, err)
	case strangers(err):
		return fmt.Errorf("the group has members of its own: give this deployable one that nobody else uses: %w", err)
	case is(sarama.ErrUnknownTopicOrPartition):
		return fmt.Errorf("the topic is gone: it is made anew when it is next used, unless that is left to others: %w", err)
	case is(sarama.ErrOutOfBrokers) || errors.As(err, &network):
		return fmt.Errorf("no broker answers at %v: check that Kafka runs there, and wants TLS (%t) and login (%v) as they are: %w",
			t.cfg.Brokers, t.cfg.TLS.Enabled, t.cfg.SASL, err)
	default:
		return err
	}
}

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
