package sqlite

// replayed takes up a delivery that a person gave another chance: it takes its place, by age, among the blocked of its key.
func (s *subscription) replayed(seq int64, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[seq]; f != nil { // dead on disk, and about to be settled
		f.acted = func() { s.replay(seq, key) }
		return
	}
	s.replay(seq, key)
}

// replay puts seq among what is open. s.mu is held.
func (s *subscription) replay(seq int64, key string) {
	if key == "" {
		s.retries.add(retry{seq: seq, due: s.j.cfg.now()})
		s.poke()
		return
	}
	l := s.keys[key]
	idle := l == nil || l.parked == seq
	if l == nil {
		l = &lane{}
		s.keys[key] = l
	}
	s.owe(l, 1)
	s.blockWaiting(l) // they are younger
	if idle {
		s.advance(key)
	}
}

// released lets a key go on after the dead letter that parked it was dropped.
func (s *subscription) released(seq int64, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	release := func() {
		if l := s.keys[key]; l != nil && l.parked == seq {
			s.advance(key)
		}
	}
	if f := s.flights[seq]; f != nil {
		f.acted = release
		return
	}
	release()
}
