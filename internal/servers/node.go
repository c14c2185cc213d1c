package servers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// KafkaNode is a real Kafka for a single test, which may kill and start the node. The data survive both.
type KafkaNode struct {
	Address string // host:port to connect to
	Proxied string // host:port that the proxy connects to; empty without one

	dir, port, proxy string
}

// OwnKafka starts a node for a test, and stops the node after the test. proxy is the address of a proxy, or empty.
// The proxy connects to Proxied, and the node sends the clients that come this way to proxy again. Without Java, or
// Kafka's jars and Maven to fetch them, the test is skipped.
func OwnKafka(tb testing.TB, proxy string) *KafkaNode {
	tb.Helper()
	n := newNode(tb, freePorts(tb, 1)[0], nil, nil)
	n.proxy = proxy
	err := n.Start()
	if err == nil && proxy != "" {
		n.Proxied, err = n.read("proxied")
	}
	mustRun(tb, err)
	return n
}

// newNode returns a node that does not run yet, and stops with the test. The lines of properties replace those of
// every node; format contains more arguments for the command that formats the node's data.
func newNode(tb testing.TB, port string, properties, format []string) *KafkaNode {
	tb.Helper()
	n := &KafkaNode{Address: "127.0.0.1:" + port, dir: tb.TempDir(), port: port}
	tb.Cleanup(func() {
		if err := n.Stop(); err != nil {
			tb.Error(err)
		}
	})
	for name, lines := range map[string][]string{"more.properties": properties, "format": format} {
		if len(lines) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return n
}

// mustRun skips the test when err says that software is missing, and fails the test for other errors.
func mustRun(tb testing.TB, err error) {
	tb.Helper()
	if err != nil && strings.Contains(err.Error(), "is missing") {
		tb.Skipf("%s needs a real Kafka of its own: %v", tb.Name(), err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// freePorts returns ports outside the range from which the system takes the ports of clients. The clients of a killed
// node keep connecting: otherwise, a client might get the node's port, or connect to itself.
func freePorts(tb testing.TB, count int) (ports []string) {
	tb.Helper()
	for range 100 * count {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }() // held until the end, so that the ports differ
		if ports = append(ports, port); len(ports) == count {
			return ports
		}
	}
	tb.Fatalf("found no %d free ports", count)
	return nil
}

// Start starts the node, always on the same port and data, and returns when it answers.
func (n *KafkaNode) Start() error {
	_, err := n.script("start", n.dir, n.port)
	return err
}

// Stop stops the node gracefully: in a cluster, the node first hands over the partitions that it leads.
func (n *KafkaNode) Stop() error {
	_, err := n.script("stop", n.dir)
	return err
}

// Kill kills the node like a power cut, and returns when the node no longer answers.
func (n *KafkaNode) Kill() error {
	text, err := n.read("pid")
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	node, err := os.FindProcess(pid)
	if err == nil {
		err = node.Kill()
	}
	if err != nil {
		return fmt.Errorf("kill Kafka, pid %d: %w", pid, err)
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for range 3000 {
		if !n.answers() {
			return nil
		}
		<-again.C
	}
	return fmt.Errorf("Kafka, pid %d, answers after it was killed", pid)
}

func (n *KafkaNode) answers() bool {
	c, err := net.Dial("tcp", n.Address)
	if err != nil {
		return false
	}
	_ = c.Close() // only a test of the port
	return true
}

func (n *KafkaNode) read(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(n.dir, name))
	return strings.TrimSpace(string(text)), err
}

// script runs kafka.sh, and returns the output. The error contains the script's complaint.
func (n *KafkaNode) script(args ...string) (string, error) {
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command(filepath.Join(filepath.Dir(here), "kafka.sh"), args...)
	cmd.Env = append(os.Environ(), "TROUPE_KAFKA_ADVERTISED="+n.proxy,
		"JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1") // half of the start's work would only make later work faster
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("kafka.sh %s: %w: %s", args[0], err, complaint.String())
	}
	return strings.TrimSpace(string(out)), err
}
