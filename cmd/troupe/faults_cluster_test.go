package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupebus/troupe/internal/servers"
)

// cluster runs the shop as five processes over three brokers, and kills leaders. With one dead broker the shop must
// work as usual; with two, no event goes between the processes until a broker is back.
func (f *faults) cluster(t *testing.T) {
	nodes := servers.OwnCluster(t, 3)
	brokers := []string{"127.0.0.1:1"} // no broker has this address
	for _, n := range nodes {
		brokers = append(brokers, n.Address)
	}
	f.kafka = nodes[0] // for tests that read from Kafka
	f.MustOpen(t)
	for _, m := range modulesOfShop {
		f.shop.add(m, m+".db", f.over(strings.Join(brokers, ","))...)
	}
	f.shop.MustStart(t)
	f.customers.mustDeliver(t, f.seed)
	f.customers.mustBeReady(t)
	f.underLoad(t, func() {
		for n := range f.nodeKills {
			f.mustBeInSync(t, len(nodes))
			f.mustLose(t, nodes[n%3])
		}
	})
	t.Logf("killed one of three %d times", f.nodeKills)
	var back []time.Duration
	f.underLoad(t, func() {
		for n := range (f.nodeKills + 2) / 3 {
			f.mustBeInSync(t, len(nodes))
			f.mustLose(t, nodes[n%3], nodes[(n+1)%3])
			back = append(back, f.mustRecover(t))
		}
	})
	t.Logf("killed two of three %d times; all links went on %s after they answered", len(back), spread(back))
	f.shop.MustStop(t)
	is := f.shop.MustAudit(t, f.customers)
	t.Logf("%v; %d events were sent again", is, f.compareTopics(t))
}

// mustLose kills nodes, and starts them again after orders were accepted without them. With one dead node, all
// deployables must be ready.
func (f *faults) mustLose(t *testing.T, nodes ...*servers.KafkaNode) {
	t.Helper()
	f.pause(2 * time.Second)
	for _, n := range nodes {
		if err := n.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	f.mustTakeOrders(t)
	f.pause(6 * time.Second)
	if len(nodes) == 1 {
		f.customers.mustBeReady(t)
	} else {
		d := f.shop.runningModule("order")
		f.customers.mustSay(t, d, "does not say that its links stand", func(r readiness) bool { return r.Status == "degraded" && r.standing("in") })
	}
	f.mustTakeOrders(t)
	errs := make([]error, len(nodes))
	var starting sync.WaitGroup
	for i, n := range nodes {
		starting.Go(func() { errs[i] = n.Start() })
	}
	starting.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// mustBeInSync waits until all partitions have that many replicas in sync. Before that, the kill of another node
// would be a kill of two.
func (f *faults) mustBeInSync(t *testing.T, replicas int) {
	t.Helper()
	c := f.mustConnect(t)
	defer func() { _ = c.Close() }() // it only reads
	for began := time.Now(); time.Since(began) < settling; <-time.After(50 * time.Millisecond) {
		behind := 0
		for _, topic := range f.topics() {
			partitions, err := c.Partitions(topic)
			if err != nil {
				continue // of a module without events
			}
			if c.RefreshMetadata(topic) != nil {
				behind++
			}
			for _, p := range partitions {
				if in, err := c.InSyncReplicas(topic, p); err != nil || len(in) < replicas {
					behind++
				}
			}
		}
		if behind == 0 {
			return
		}
	}
	t.Fatalf("not all of %d replicas are in sync after %v", replicas, settling)
}
