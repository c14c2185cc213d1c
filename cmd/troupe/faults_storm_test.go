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

// mustFindGroups are those under which the deployables keep their places, once each has one.
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

// join has members join a group, get their partitions, and leave. It returns how many did.
func (f *faults) join(t *testing.T, group string, members int) int {
	t.Helper()
	var joined atomic.Int64
	ctx, leave := context.WithTimeout(t.Context(), 30*time.Second)
	defer leave()
	var joining sync.WaitGroup
	for range members {
		c := f.mustConnect(t)
		joining.Go(func() {
			defer func() { _ = c.Close() }() // it only read
			g, err := sarama.NewConsumerGroupFromClient(group, c)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = g.Close() }() // that it leaves is seen by who joins next
			s := &stranger{joined: make(chan struct{})}
			session, end := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- g.Consume(session, f.topics()[:4], s) }()
			select {
			case <-s.joined:
				joined.Add(1)
			case err := <-ended:
				t.Logf("a stranger could not join %s: %v", group, err)
				ended <- err
			case <-ctx.Done():
				t.Logf("a stranger could not join %s in time", group)
			}
			<-time.After(150 * time.Millisecond) // as a member for a while
			end()
			<-ended
		})
	}
	joining.Wait()
	return int(joined.Load())
}

// stranger is a member of a group that takes its share, and acknowledges nothing.
type stranger struct {
	once   sync.Once
	joined chan struct{}
}

func (s *stranger) Setup(sarama.ConsumerGroupSession) error {
	s.once.Do(func() { close(s.joined) })
	return nil
}

func (s *stranger) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (s *stranger) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-claim.Messages():
		case <-session.Context().Done():
			return nil
		}
	}
}
