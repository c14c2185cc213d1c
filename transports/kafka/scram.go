package kafka

import (
	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// scramLogin is a single SCRAM login. Sarama leaves the algorithm to its users.
type scramLogin struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

// newScram returns a constructor of logins by mechanism, or nil when mechanism is not SCRAM.
func newScram(mechanism string) func() sarama.SCRAMClient {
	hash := scram.SHA256
	switch mechanism {
	case sarama.SASLTypeSCRAMSHA256:
	case sarama.SASLTypeSCRAMSHA512:
		hash = scram.SHA512
	default:
		return nil
	}
	return func() sarama.SCRAMClient { return &scramLogin{hash: hash} }
}

// Begin implements sarama.SCRAMClient. The embedded conversation has Step and Done.
func (s *scramLogin) Begin(user, password, authzID string) error {
	client, err := s.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	s.ClientConversation = client.NewConversation()
	return nil
}
