package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
)

// noteEvery is the maximum time before a new position in a topic is written. Without other commits, the position gets a
// commit of its own.
const noteEvery = time.Second

// memory has the positions of this journal in the topics of other journals.
type memory struct {
	j *Journal

	mu      sync.Mutex
	noted   map[position]journal.Noted // all positions since the journal was opened
	changed map[position]bool          // not written yet
	written time.Time
}

type position struct {
	name      string
	partition int32
}

var _ journal.Memory = (*memory)(nil)

// Memory implements journal.Journal.
func (j *Journal) Memory() journal.Memory { return &j.memory }

// ID implements journal.Memory.
func (m *memory) ID() string { return m.j.id }

// Head implements journal.Memory.
func (m *memory) Head() int64 { return m.j.tail.Bound(true) }

// Noted implements journal.Memory.
func (m *memory) Noted(ctx context.Context, name string) (map[int32]journal.Noted, error) {
	found := map[int32]journal.Noted{}
	query := row.SQL("SELECT partition, topic, next FROM places WHERE place = ?", name)
	err := m.j.View(ctx, func(tx *sql.Tx) error {
		return row.Each(ctx, tx, query, func(rows *sql.Rows) error {
			var partition int32
			var n journal.Noted
			err := rows.Scan(&partition, &n.Topic, &n.Next)
			found[partition] = n
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the positions in topics: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, n := range m.noted {
		if p.name == name {
			found[p.partition] = n
		}
	}
	return found, nil
}

// Note implements journal.Memory.
func (m *memory) Note(name string, partition int32, n journal.Noted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.noted == nil {
		m.noted, m.changed = map[position]journal.Noted{}, map[position]bool{}
	}
	p := position{name, partition}
	if m.noted[p] != n {
		m.noted[p], m.changed[p] = n, true
	}
}

// waits reports whether a position must be written now.
func (m *memory) waits() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.changed) > 0 && time.Since(m.written) >= noteEvery
}

// flush writes changed positions, now and then, or all. It runs in the writer's goroutine.
func (m *memory) flush(all bool) error {
	m.mu.Lock()
	due := map[position]journal.Noted{}
	switch {
	case all:
		maps.Copy(due, m.noted)
	case len(m.changed) > 0 && time.Since(m.written) >= noteEvery:
		for p := range m.changed {
			due[p] = m.noted[p]
		}
	}
	if len(due) > 0 {
		clear(m.changed)
		m.written = time.Now()
	}
	m.mu.Unlock()
	for p, n := range due {
		if _, _, err := m.j.kept.place.Exec(p.name, int64(p.partition), n.Topic, n.Next); err != nil {
			return err
		}
	}
	return nil
}
