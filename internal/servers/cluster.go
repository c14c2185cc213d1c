package servers

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// OwnCluster starts a cluster of count nodes for a test, and stops it after the test. Each node is a broker and a
// controller, and has a replica of everything. A write needs all nodes but one. Leaders return to the preferred nodes
// within seconds. Where OwnKafka skips a test, OwnCluster does, too.
func OwnCluster(tb testing.TB, count int) []*KafkaNode {
	tb.Helper()
	ports := freePorts(tb, 2*count)
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	cluster := base64.RawURLEncoding.EncodeToString(id[:])
	var voters []string
	for i := range count {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%s", i+1, ports[count+i]))
	}
	shared := []string{
		"controller.quorum.voters=" + strings.Join(voters, ","),
		fmt.Sprintf("default.replication.factor=%d", count),
		fmt.Sprintf("min.insync.replicas=%d", count-1),
		"leader.imbalance.check.interval.seconds=3",
	}
	for _, topic := range []string{"offsets.topic", "transaction.state.log", "share.coordinator.state.topic"} {
		shared = append(shared, fmt.Sprintf("%s.replication.factor=%d", topic, count))
	}
	for _, topic := range []string{"transaction.state.log", "share.coordinator.state.topic"} {
		shared = append(shared, fmt.Sprintf("%s.min.isr=%d", topic, count-1))
	}
	nodes, errs := make([]*KafkaNode, count), make([]error, count)
	var starting sync.WaitGroup // at the same time, because each node waits for the others
	for i := range nodes {
		nodes[i] = newNode(tb, ports[i], append([]string{
			fmt.Sprintf("node.id=%d", i+1),
			fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%s,CONTROLLER://127.0.0.1:%s", ports[i], ports[count+i]),
		}, shared...), []string{"--cluster-id=" + cluster})
		starting.Go(func() { errs[i] = nodes[i].Start() })
	}
	starting.Wait()
	tb.Cleanup(func() { // no graceful shutdown, in which the last nodes would wait for others
		for _, n := range nodes {
			if n.answers() {
				if err := n.Kill(); err != nil {
					tb.Error(err)
				}
			}
		}
	})
	for _, err := range errs {
		mustRun(tb, err)
	}
	return nodes
}
