package kafka

import (
	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// scramLogin is one login by SCRAM, for sarama, which leaves the algorithm to others.
type scramLogin struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

// newScram returns what makes logins by mechanism, nil when that is none of SCRAM's.
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

// Begin implements sarama.SCRAMClient; Step and Done are the conversation's.
func (s *scramLogin) Begin(user, password, authzID string) error {
	client, err := s.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	s.ClientConversation = client.NewConversation()
	return nil
}
