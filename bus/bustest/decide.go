package bustest

import (
	"fmt"
	"slices"
)

// decide moves the clock, or lets a step or a group of steps go on. Every decision consists of three draws, so that a
// change in one decision leaves the positions of the others.
//
// With lull, the steps of other processes may wait until another step is ready.
func (s *scheduler) decide(ready []*step, lull bool) error {
	if s.keep {
		s.states = append(s.states, s.state(ready))
	}
	rest, options := len(s.moves), len(ready)
	urgent := ready[0].kind == stepSend
	if s.budget == 0 || urgent || slices.ContainsFunc(ready, (*step).soon) {
		rest = 1
	}
	switch {
	case s.without&Orders != 0 || urgent:
		options = 1
	case lull:
		options++
	}
	m := s.moves[s.tape.draw(s.drawMove(), rest)]
	at := s.next(ready, options)
	if at == len(ready) {
		s.tape.draw(drawFault, 1)
		s.wait(ready[0])
		return nil
	}
	st := ready[at]
	partners := s.partners(st, ready)
	faults := []fault{faultNone}
	if s.budget > 0 {
		faults = st.possible(s.without, len(partners))
	}
	f := faults[s.tape.draw(drawFaultOf(partners), len(faults))]
	if m != (move{}) {
		s.budget--
		s.make(m, ready[0])
		return nil
	}
	if f != faultNone && (s.keep || f != faultPair && f != faultGroup) {
		s.budget--
	}
	if f.groups() {
		group := f.group(st, partners)
		s.narrateGroup(group, f, ready[0])
		s.together(group, f)
		return nil
	}
	s.narrateStep(st, f, ready[0])
	if st.kind == stepBeside || st.kind == stepLook {
		s.noteForAll(st.site(), st.String())
	} else {
		s.note(st.site(), f.with(st))
	}
	if st.stopped {
		return s.restart(func() { s.letGo(st, faultNone) })
	}
	s.letGo(st, f)
	return nil
}

// narrateStep adds the next step to the story if the step or its fault is not the obvious choice. The step oldest has
// waited longest.
func (s *scheduler) narrateStep(st *step, f fault, oldest *step) {
	act := s.waited
	if s.waited = nil; act != nil && act != st {
		s.narrateWait(act, st)
	}
	switch {
	case st != oldest && f == faultNone:
		s.narrateWait(oldest, st)
	case st != oldest:
		s.narrate("%s, before %s", f.with(st), oldest)
	case f != faultNone:
		s.narrate("%s", f.with(st))
	}
}

// narrateWait adds the fact that st waits until after other.
func (s *scheduler) narrateWait(st, other *step) {
	if s.waits == st { // st still waits: keep a single line
		s.story = s.story[:len(s.story)-1]
	}
	s.narrate("%s waits until after %s", st, other)
	s.waits = st
}

// narrateGroup adds a group to the story.
func (s *scheduler) narrateGroup(group []*step, f fault, oldest *step) {
	text := f.story(group)
	if !slices.Contains(group, oldest) {
		text += ", before " + oldest.String()
	}
	s.narrate("%s", text)
	for _, st := range group {
		s.note(st.site(), text)
	}
}

// next draws the next step among the options. An option after the last step of ready means to wait.
func (s *scheduler) next(ready []*step, options int) int {
	kind, oldest := drawStep, ready[0]
	if s.tape.linger && s.late == oldest {
		kind = drawLate
	}
	others := slices.IndexFunc(append(ready, nil), func(st *step) bool { return st == nil || st.kind == stepBeside })
	s.tape.beside = options - others
	at := s.tape.draw(kind, options)
	if at > 0 {
		s.late = oldest
	}
	return at
}

func (s *scheduler) narrate(format string, args ...any) {
	s.waits = nil
	s.story = append(s.story, fmt.Sprintf(format, args...))
}

// note keeps an event at a site.
func (s *scheduler) note(site, event string) {
	s.order = append(s.order, event)
	if s.shared > 0 { // the acts of others and the clock may influence the step
		event = fmt.Sprint(s.shared, " ", event)
	}
	s.history[site] = append(s.history[site], event)
}

// noteForAll keeps an event at a site that influences all sites.
func (s *scheduler) noteForAll(site, event string) {
	s.shared++
	s.note(site, event)
}
