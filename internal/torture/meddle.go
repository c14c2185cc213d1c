package torture

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/internal/pause"
	"github.com/troupebus/troupe/internal/torture/story"
)

const (
	swollenSize = 240 << 20
	topicLimit  = "20000"
	meddleLimit = 10 * time.Second
	// twinLimit is the time until a process notices that another process runs on a copy of its journal: a few requests
	// to a broker, each of which takes up to 10 s on a busy machine.
	twinLimit = time.Minute
)

// meddle causes the fault s.Mood at the broker. It does nothing while the broker is away.
func (a *across) meddle(s story.Step) {
	if s.Mood == story.WebServer {
		a.serveWeb(millis(s.For))
		return
	}
	if a.brokerAt == "" || s.Mood == story.TwinProcess {
		return
	}
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Metadata.Retry.Max = time.Second, meddleLimit, 1
	c.Producer.Compression, c.Producer.Return.Successes = sarama.CompressionZSTD, true
	c.Producer.MaxMessageBytes = 2 * swollenSize
	client, err := sarama.NewClient([]string{a.brokerAt}, c)
	if err != nil {
		return
	}
	defer func() { _ = client.Close() }()
	topic := a.prefix + ".front"
	switch s.Mood {
	case story.LargeRecord:
		a.swell(client, topic)
	case story.SmallBatches:
		a.limit(client, topic)
	case story.DeleteRecords:
		a.deleted = a.deleteAll(client, topic) || a.deleted
	}
}

var zeros = make([]byte, swollenSize)

var swelling sync.Mutex // allows a single large record at a time in this process

func (a *across) swell(client sarama.Client, topic string) {
	swelling.Lock()
	defer swelling.Unlock()
	p, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return
	}
	if _, _, err = p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(zeros)}); err == nil {
		a.foreignRecords++
		a.count("large records", 1)
	}
	_ = p.Close()
}

func (a *across) limit(client sarama.Client, topic string) {
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return
	}
	value := topicLimit
	_ = admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"max.message.bytes": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value},
	}, false) // the topic may not exist yet
}

// deleteAll deletes the records of a topic, and the positions of the ledger, which does not run. It reports whether
// it deleted the records. The small broker keeps the newest record of each partition, because kfake's DeleteRecords
// removes the files from which kfake knows the end of a partition. Without a record left, kfake would count from 0
// again in the same topic after a start, stopped or killed. Kafka continues its offsets.
func (a *across) deleteAll(client sarama.Client, topic string) bool {
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil || a.owners[story.Ledger] != nil {
		return false
	}
	partitions, err := client.Partitions(topic)
	if err != nil {
		return false
	}
	ends := map[int32]int64{}
	for _, p := range partitions {
		if ends[p], err = client.GetOffset(topic, p, sarama.OffsetNewest); err != nil {
			return false
		}
		if a.port != "" {
			ends[p] = max(ends[p]-1, 0)
		}
	}
	if err := admin.DeleteRecords(topic, ends); err != nil {
		return false
	}
	a.count("deletions", 1)
	groups, err := admin.ListConsumerGroups()
	if err != nil {
		return true
	}
	for g := range groups {
		if strings.HasPrefix(g, story.Ledger+"-") {
			_ = admin.DeleteConsumerGroup(g)
		}
	}
	return true
}

// serveWeb answers HTTP at the broker's port.
func (a *across) serveWeb(d time.Duration) {
	if a.port == "" || a.broker != nil {
		return
	}
	l, err := net.Listen("tcp", a.brokerAt)
	if err != nil {
		return
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }() // until Close
	pause.For(a.ctx, d)
	_ = server.Close()
}

// recover follows the docs after events were deleted: the reader reports the missing events, and then the events are
// sent again.
func (a *across) recover() bool {
	readers, shut, ok := a.readers()
	if !ok {
		return false
	}
	defer shut()
	reported := func() int {
		n, _ := a.rows(readers[story.Ledger], `SELECT count(*) FROM dead_letters d JOIN subscriptions s ON s.id = d.subscription
WHERE s.name LIKE 'bus/%' AND d.error NOT LIKE '%unpacked%'`) // a large record is a different fault
		return n
	}
	missing := func() int {
		sent, came := a.idsByKey(readers[story.Door], story.Ledger), a.idsByKey(readers[story.Ledger], story.Ledger)
		n := 0
		for key, ids := range sent {
			n += len(ids) - len(came[key])
		}
		return n
	}
	for end := time.Now().Add(4 * stallLimit); missing() > 0 && reported() == 0 && time.Now().Before(end); {
		pause.For(a.ctx, pace)
	}
	if n := missing(); n > 0 && reported() == 0 {
		a.find("silent", "%d events were deleted before the ledger had read them, but no dead letter reports the loss", n)
	}
	a.stop(story.Door)
	a.runTool(a.machine.troupe, "resend", "--journal", a.journal(story.Door))
	a.serve(story.Door)
	return a.owners[story.Door] != nil && a.owners[story.Door].awaitUp(startLimit)
}

// twin runs a second process on a copy of the ledger's journal, with no work left. Within twinLimit, either process
// must notice the other process, and end.
func (a *across) twin() {
	a.stop(story.Ledger)
	folder := filepath.Join(a.folder, "twin")
	if err := os.Mkdir(folder, 0o700); err != nil {
		a.find("machine", "%v", err)
		return
	}
	files, _ := filepath.Glob(a.journal(story.Ledger) + "*")
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, ".lock") })
	if out, err := exec.CommandContext(a.ctx, "cp", append(files, folder)...).CombinedOutput(); err != nil {
		a.find("machine", "cp: %v: %s", err, out)
		return
	}
	a.serve(story.Ledger, "--good")
	o := a.owners[story.Ledger]
	args := append([]string{"--modules", modulesOf[story.Ledger], "--good"}, a.backend...)
	other, err := a.startOwnerBy(a.clocks[story.Ledger], filepath.Join(folder, story.Ledger+".db"), args...)
	if err != nil || o == nil {
		a.find("machine", "a second process on a copy of the journal cannot be started: %v", err)
		return
	}
	select {
	case <-o.ended:
	case <-other.ended:
	case <-time.After(twinLimit):
		a.find("twins", "two processes run on copies of a journal, and neither noticed within %v", twinLimit)
	}
	other.kill()
	a.stop(story.Ledger)
}

// peaks finds deployables that needed too much memory.
func (a *across) peaks() {
	for _, name := range story.Deployables {
		if peak := a.owners[name].peak(); peak > memoryLimit {
			a.find("memory", "%s had %d MiB resident", name, peak>>20)
		}
	}
}
