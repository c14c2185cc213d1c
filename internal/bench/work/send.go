package work

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/transports/kafka"
)

// SendBatch is the number of records in a call of sarama.
const SendBatch = 500

// topic returns Kafka's name of the topic of events.
func (j Job) topic() string { return j.Prefix + "." + mainModule }

// records returns n events as a relay sends them, from event number first on.
func (j Job) records(first, n int64) ([]*sarama.ProducerMessage, error) {
	events, err := makeEvents(first, n)
	if err != nil {
		return nil, err
	}
	out := make([]*sarama.ProducerMessage, len(events))
	for i, e := range events {
		if out[i], err = (kafka.Marshaler{}).Marshal(j.topic(), wire.Encode(e)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// newProducer returns a producer of sarama with the settings of a Transport: durable, compressed, and with the
// partitioner of Java's clients.
func (j Job) newProducer() (sarama.SyncProducer, error) {
	c := durable(sarama.NewConfig())
	c.Producer.Compression = sarama.CompressionLZ4
	c.Producer.Partitioner = sarama.NewMurmur2Partitioner
	return sarama.NewSyncProducer(strings.Split(j.Brokers, ","), c)
}

// fill sends the events of j to their topic.
func (j Job) fill(ctx context.Context) (err error) {
	p, err := j.newProducer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for first := int64(0); first < j.all(); first += SendBatch {
		msgs, err := j.records(first, min(SendBatch, j.all()-first))
		if err != nil {
			return err
		}
		if err := errors.Join(ctx.Err(), p.SendMessages(msgs)); err != nil {
			return err
		}
	}
	return nil
}

// workSend sends records that were made before. The same records are sent repeatedly, because all records of j would
// not fit into memory.
func workSend(ctx context.Context, j Job) (f Figures, err error) {
	p, err := j.newProducer()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	made, err := j.records(0, 20*SendBatch)
	if err != nil {
		return nil, err
	}
	f, err = j.timed(ctx, EventsPerSecond, func(ctx context.Context, l load) (time.Duration, error) {
		started := time.Now()
		for first := int64(0); first < l.n; first += SendBatch {
			batch := make([]*sarama.ProducerMessage, min(SendBatch, l.n-first))
			for i := range batch {
				r := made[(first+int64(i))%int64(len(made))]
				batch[i] = &sarama.ProducerMessage{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers}
			}
			if err := errors.Join(ctx.Err(), p.SendMessages(batch)); err != nil {
				return 0, err
			}
		}
		return time.Since(started), nil
	})
	if err != nil {
		return nil, err
	}
	return f, j.expectRecords()
}

// expectRecords returns an error unless the topic has as many records as j has events.
func (j Job) expectRecords() (err error) {
	c := sarama.NewConfig()
	c.Version = protocol
	client, err := sarama.NewClient(strings.Split(j.Brokers, ","), c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	partitions, err := client.Partitions(j.topic())
	if err != nil {
		return err
	}
	var got int64
	for _, p := range partitions {
		end, err := client.GetOffset(j.topic(), p, sarama.OffsetNewest)
		if err != nil {
			return err
		}
		got += end
	}
	if got != j.all() {
		return fmt.Errorf("the topic has %d records, want %d", got, j.all())
	}
	return nil
}

// expectEvents returns an error unless the journal has as many events as j.
func (j Job) expectEvents(ctx context.Context) error {
	var got int64
	err := view(j.Journal, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT count(*) FROM events").Scan(&got)
	})
	if err == nil && got != j.all() {
		err = fmt.Errorf("the journal has %d events, want %d", got, j.all())
	}
	return err
}
