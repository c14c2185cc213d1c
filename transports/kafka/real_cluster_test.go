package kafka_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/kafka"
)

// cluster is three real brokers, and a topic on them that is written and read all the time.
type cluster struct {
	nodes []*servers.KafkaNode
	look  sarama.Client
	cfg   kafka.Config
	topic string
	load  *load
	kills int // of single nodes
}

// TestRealCluster: brokers of a real cluster are killed and started again while the partitions that they lead are written and read. One
// transport is used all the time, by way of a list of brokers of which the first is not there. With TROUPE_FAULTS=full, more are killed.
func TestRealCluster(t *testing.T) {
	c := &cluster{kills: 2}
	if os.Getenv("TROUPE_FAULTS") == "full" {
		c.kills = 12
	} else {
		servers.Kafka(t) // for its own brokers it needs what that one does
	}
	c.nodes = servers.OwnCluster(t, 3)
	var addresses []string
	for _, n := range c.nodes {
		addresses = append(addresses, n.Address)
	}
	c.cfg = alone(append([]string{"127.0.0.1:1"}, addresses...))
	c.cfg.Partitions, c.cfg.Timeout, c.topic = 6, 10*time.Second, c.cfg.Prefix+".order"
	plain := sarama.NewConfig()
	plain.Version = sarama.V3_6_0_0
	var err error
	if c.look, err = sarama.NewClient(addresses, plain); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.look.Close() }() // it only looks
	c.load = MustLoad(t, MustTransport(t, c.cfg))
	t.Logf("messages came after %v", c.load.mustGoOn(t))
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"topics are replicated as configured", c.replicated},
		{"others are elected", c.elect},
		{"a leader is killed", c.killLeaders},
		{"two of three are killed", c.killTwo},
	} {
		if !t.Run(part.name, part.run) {
			return
		}
	}
	c.load.mustEnd(t)
}

// replicas are those of each partition of a topic, once it is known.
func (c *cluster) replicas(t *testing.T, topic string) (all [][]int32) {
	t.Helper()
	await(t, "metadata of "+topic, func() bool { return c.look.RefreshMetadata(topic) == nil })
	partitions, err := c.look.Partitions(topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range partitions {
		r, err := c.look.Replicas(topic, p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// replicated looks at topics that the transport has made.
func (c *cluster) replicated(t *testing.T) {
	for replication, want := range map[int16]int{-1: 3, 1: 1, 2: 2, 3: 3} {
		cfg := alone(c.cfg.Brokers)
		cfg.Replication = replication
		MustPublish(t, MustTransport(t, cfg), "order", numbered("k", 0, 1)...)
		for _, r := range c.replicas(t, cfg.Prefix+".order") {
			if len(r) != want {
				t.Errorf("with Replication %d, a partition is on brokers %v, want %d", replication, r, want)
			}
		}
	}
	cfg := alone(c.cfg.Brokers)
	cfg.Replication = 4
	refuses(t, MustTransport(t, cfg), "change Config.Replication (4,")
}

// refuses expects Publish to say why it cannot, in time.
func refuses(t *testing.T, tr *kafka.Transport, why string) {
	t.Helper()
	began := time.Now()
	err := tr.Publish("order", numbered("k", 0, 10)...)
	took := time.Since(began)
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("want an error with %q, got: %v", why, err)
	}
	if took > 30*time.Second { // Timeout is a few seconds, but the machine may be busy
		t.Errorf("it took %v to say: %v", took, err)
	}
	t.Logf("after %v: %v", took.Round(time.Millisecond), err)
}

// elect has every partition led by another node, which all have what they need for it, three times.
func (c *cluster) elect(t *testing.T) {
	admin, err := sarama.NewClusterAdminFromClient(c.look)
	if err != nil {
		t.Fatal(err)
	}
	for range len(c.nodes) {
		assigned := c.replicas(t, c.topic)
		var partitions []int32
		for p, r := range assigned {
			assigned[p] = append(slices.Clone(r[1:]), r[0]) // the first is preferred
			partitions = append(partitions, int32(p))
		}
		if err := admin.AlterPartitionReassignments(c.topic, assigned); err != nil {
			t.Fatal(err)
		}
		await(t, "the new order of replicas", func() bool {
			return slices.EqualFunc(c.replicas(t, c.topic), assigned, slices.Equal)
		})
		_, err := admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{c.topic: partitions})
		if err != nil {
			t.Fatal(err)
		}
		for p, r := range assigned {
			await(t, "another leader", func() bool {
				b, err := c.look.Leader(c.topic, int32(p))
				return err == nil && b.ID() == r[0] || c.look.RefreshMetadata(c.topic) != nil
			})
		}
		t.Logf("messages of all keys came after %v", c.load.mustGoOn(t))
	}
}

// leader is the node that leads a partition.
func (c *cluster) leader(t *testing.T, partition int32) (at int) {
	t.Helper()
	await(t, "a leader", func() bool {
		if c.look.RefreshMetadata(c.topic) != nil {
			return false
		}
		b, err := c.look.Leader(c.topic, partition)
		if err != nil {
			return false
		}
		at = slices.IndexFunc(c.nodes, func(n *servers.KafkaNode) bool { return n.Address == b.Addr() })
		return true
	})
	return at
}

// mustHeal returns when all nodes have all that there is.
func (c *cluster) mustHeal(t *testing.T) {
	t.Helper()
	await(t, "all replicas to be in sync", func() bool {
		if c.look.RefreshMetadata(c.topic) != nil {
			return false
		}
		for p := range int32(6) {
			if in, err := c.look.InSyncReplicas(c.topic, p); err != nil || len(in) < len(c.nodes) {
				return false
			}
		}
		return true
	})
}

// killLeaders kills one node after the other, each while it leads, and starts it again when the others have taken over.
func (c *cluster) killLeaders(t *testing.T) {
	strict := c.mustMakeStrict(t)
	last := -1
	for n := range c.kills {
		p := int32(n % 6)
		for ; c.leader(t, p) == last; p = (p + 1) % 6 { // another one than before
		}
		last = c.leader(t, p)
		node := c.nodes[last]
		end := node.Kill
		if n%3 == 2 {
			end = node.Stop
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		took := c.load.mustGoOn(t)
		if n == 0 {
			refuses(t, strict, "min.insync.replicas: start the brokers that are down")
		}
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		c.mustHeal(t)
		t.Logf("node %d went away: messages of all keys came after %v, and after its start after %v", last+1, took, c.load.mustGoOn(t))
	}
	MustPublish(t, strict, "order", numbered("k", 0, 1)...)
	t.Logf("%d times somebody was asked to try again", c.load.mustHaveSaid(t, "that are down"))
}

// mustMakeStrict makes a topic that wants all replicas in sync, and returns what publishes to it.
func (c *cluster) mustMakeStrict(t *testing.T) *kafka.Transport {
	t.Helper()
	admin, err := sarama.NewClusterAdminFromClient(c.look)
	if err != nil {
		t.Fatal(err)
	}
	cfg, all := alone(c.cfg.Brokers), "3"
	cfg.Timeout = 4 * time.Second
	detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 3, ConfigEntries: map[string]*string{"min.insync.replicas": &all}}
	if err := admin.CreateTopic(cfg.Prefix+".order", detail, false); err != nil {
		t.Fatal(err)
	}
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 1)...)
	return tr
}

// killTwo leaves one node: it has no majority of controllers, and too few replicas.
func (c *cluster) killTwo(t *testing.T) {
	at := c.leader(t, 0)
	two := []*servers.KafkaNode{c.nodes[at], c.nodes[(at+1)%3]}
	for _, n := range two {
		if err := n.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	short := c.cfg // an own transport: what is under way with the other one is tried for longer
	short.Timeout = 3 * time.Second
	refuses(t, MustTransport(t, short.WithPatience(time.Second)), "that are down")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	other := c.cfg
	other.Group += "-other"
	if _, err := MustTransport(t, other.WithPatience(time.Second)).Subscribe(ctx, "order"); err == nil || !strings.Contains(err.Error(), "that are down") {
		t.Errorf("Subscribe: %v", err)
	} else {
		t.Logf("Subscribe: %v", err)
	}
	await(t, "somebody to be refused", func() bool {
		c.load.mu.Lock()
		defer c.load.mu.Unlock()
		return len(c.load.refusals) > 0
	})
	errs := make([]error, len(two))
	var starting sync.WaitGroup
	for i, n := range two {
		starting.Go(func() { errs[i] = n.Start() })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	c.mustHeal(t)
	t.Logf("messages of all keys came %v after they were back; %d times somebody was refused", c.load.mustGoOn(t), c.load.mustHaveSaid(t, "that are down"))
}
