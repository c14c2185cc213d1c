package bus

// SkipErased makes the handler skip events whose key was erased. Without SkipErased, such an event becomes a dead
// letter.
func (h *Handler[E]) SkipErased() *Handler[E] {
	h.s.SkipErased = true
	return h
}
