package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// mustFindGroups returns the groups with the positions of the deployables, once each deployable has a group.
func (f *faults) mustFindGroups(t *testing.T) []string {
	t.Helper()
	admin, err := sarama.NewClusterAdminFromClient(f.mustConnect(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }() // it only reads
	var groups []string
	for began := time.Now(); time.Since(began) < time.Minute; <-time.After(100 * time.Millisecond) {
		all, err := admin.ListConsumerGroups()
		if err != nil {
			t.Fatal(err)
		}
		groups = slices.Sorted(maps.Keys(all))
		if !slices.ContainsFunc(modulesOfShop, func(m string) bool {
			return !slices.ContainsFunc(groups, func(g string) bool { return strings.HasPrefix(g, m+"-") })
		}) {
			return groups
		}
	}
	t.Fatalf("Kafka has the groups %v, want one for each of %v", groups, modulesOfShop)
	return nil
}

// join lets members join a group, get their partitions, and leave. It returns the number of members.
func (f *faults) join(t *testing.T, group string, members int) int {
	t.Helper()
	var joined atomic.Int64
	ctx, leave := context.WithTimeout(t.Context(), 30*time.Second)
	defer leave()
	var joining sync.WaitGroup
	for range members {
		c := f.mustConnect(t)
		joining.Go(func() {
			defer func() { _ = c.Close() }() // only read
			g, err := sarama.NewConsumerGroupFromClient(group, c)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = g.Close() }() // the next join shows whether the member has left
			s := &groupMember{joined: make(chan struct{})}
			session, end := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- g.Consume(session, f.topics()[:4], s) }()
			select {
			case <-s.joined:
				joined.Add(1)
			case err := <-ended:
				t.Logf("a foreign member could not join %s: %v", group, err)
				ended <- err
			case <-ctx.Done():
				t.Logf("a foreign member could not join %s in time", group)
			}
			<-time.After(150 * time.Millisecond) // a member for a while
			end()
			<-ended
		})
	}
	joining.Wait()
	return int(joined.Load())
}

// groupMember is a foreign member of a group: it takes its partitions, and acknowledges no message.
type groupMember struct {
	once   sync.Once
	joined chan struct{}
}

func (s *groupMember) Setup(sarama.ConsumerGroupSession) error {
	s.once.Do(func() { close(s.joined) })
	return nil
}

func (s *groupMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (s *groupMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-claim.Messages():
		case <-session.Context().Done():
			return nil
		}
	}
}
