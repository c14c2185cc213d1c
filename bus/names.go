package bus

// Was gives earlier names of the subscription, the newest first, without the module. The first start renames the
// subscription in the journal: position, open work, dead letters and parked keys go on, and Info.ID keeps the oldest
// name. Later starts change nothing. An older program takes the former name back. Without Was, a renamed subscription
// is new. No other subscription may have an earlier name.
func (h *Handler[E]) Was(names ...string) *Handler[E] {
	for _, name := range names {
		full := h.s.module.name + "/" + name
		if !validName.MatchString(name) || full == h.s.Name {
			h.s.bus.mistake("subscription %q: Was(%q): want an earlier name, without the module", h.s.Name, name)
		}
		h.s.names.Was = append(h.s.names.Was, full)
	}
	return h
}

// FromStart makes an external subscription that is new, or gains a type, call the outside for events of the past.
// Without FromStart or FromNow, Run refuses such a subscription. It may be a renamed one. A transactional subscription
// needs no FromStart.
func (h *Handler[E]) FromStart() *Handler[E] {
	h.s.names.FromStart = true
	return h
}

// Rebuild makes a transactional subscription handle all events once more when version is another number than before. A
// new subscription only records the number. Let a migration empty the tables of the handler: migrations run first.
//
// The new run drops the open work and the dead letters of the former run, which stays in the journal as "module/name
// (before rebuild 1)". An event that the new run emits with the cause, type and place of an earlier event has the id
// of the earlier event, and is dropped.
func (h *Handler[E]) Rebuild(version int) *Handler[E] {
	if version < 1 {
		h.s.bus.mistake("subscription %q: Rebuild(%d): want 1 or more", h.s.Name, version)
	}
	h.s.names.Version = version
	return h
}
