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

// KafkaNode is a real Kafka that a test has to itself, to kill and start as it likes. Its data outlive both.
type KafkaNode struct {
	Address string // host:port to connect to
	Proxied string // host:port that the proxy connects to; empty without one

	dir, proxy string
}

// OwnKafka starts a node for one test, which stops with it. Clients that come by way of a proxy at the address proxy, to which
// Proxied is the other end, are sent there again; "" is no proxy. Without Java, or Kafka's jars and Maven to fetch them, the test is
// skipped.
func OwnKafka(tb testing.TB, proxy string) *KafkaNode {
	tb.Helper()
	n := &KafkaNode{dir: tb.TempDir(), proxy: proxy}
	tb.Cleanup(func() {
		if _, err := n.script("stop", n.dir); err != nil {
			tb.Error(err)
		}
	})
	out, err := n.script("start", n.dir, freePort(tb))
	if err != nil && strings.Contains(err.Error(), "is missing") {
		tb.Skipf("%s needs a real Kafka of its own: %v", tb.Name(), err)
	}
	n.Address = out
	if err == nil && proxy != "" {
		n.Proxied, err = n.read("proxied")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// freePort is one that no client is given for its end of a connection: those that a killed node leaves behind try again all the
// time, and one of them might take the node's port, or even connect to itself.
func freePort(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			if err := l.Close(); err != nil {
				tb.Fatal(err)
			}
			return port
		}
	}
	tb.Fatal("found no free port")
	return ""
}

// Start starts the node again, on the same port and data, and returns when it answers.
func (n *KafkaNode) Start() error {
	_, err := n.script("start", n.dir)
	return err
}

// Kill kills the node as a power cut does, and returns when it does not answer any more.
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
		c, err := net.Dial("tcp", n.Address)
		if err != nil {
			return nil
		}
		_ = c.Close() // it was only to see whether somebody is there
		<-again.C
	}
	return fmt.Errorf("Kafka, pid %d, answers after it was killed", pid)
}

func (n *KafkaNode) read(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(n.dir, name))
	return strings.TrimSpace(string(text)), err
}

// script runs kafka.sh, and returns what it prints; its error says what that complains of.
func (n *KafkaNode) script(args ...string) (string, error) {
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command(filepath.Join(filepath.Dir(here), "kafka.sh"), args...)
	cmd.Env = append(os.Environ(), "TROUPE_KAFKA_ADVERTISED="+n.proxy)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("kafka.sh %s: %w: %s", args[0], err, complaint.String())
	}
	return strings.TrimSpace(string(out)), err
}
