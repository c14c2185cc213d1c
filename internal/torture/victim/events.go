package main

// Asked starts every flow. Key and N together are unique.
type Asked struct {
	Key  string `json:"key"`
	N    int    `json:"n"`
	Mood string `json:"mood,omitempty"` // how the handlers of the module moody take it; "" is not for them
	Tags []int  `json:"tags,omitempty"`
	Pad  string `json:"pad,omitempty"`
}

// EventType is the identity on the wire.
func (Asked) EventType() string { return "torture.asked" }

// EventKey is what stays in order.
func (e Asked) EventKey() string { return e.Key }

// Noted and Called are what the ledger emits, for the module tail.
type Noted struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

// EventType is the identity on the wire.
func (Noted) EventType() string { return "torture.noted" }

// EventKey is what stays in order.
func (e Noted) EventKey() string { return e.Key }

// Called is the ledger's answer to a call of the outside.
type Called struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

// EventType is the identity on the wire.
func (Called) EventType() string { return "torture.called" }

// EventKey is what stays in order.
func (e Called) EventKey() string { return e.Key }

// Inside must never be seen: it is what a handler tries to publish before its commit.
type Inside struct {
	Key string `json:"key"`
}

// EventType is the identity on the wire.
func (Inside) EventType() string { return "torture.inside" }

// EventKey is what stays in order.
func (e Inside) EventKey() string { return e.Key }

// Shocking panics when it is encoded.
type Shocking struct {
	Key string `json:"key"`
}

// EventType is the identity on the wire.
func (Shocking) EventType() string { return "torture.shocking" }

// EventKey is what stays in order.
func (e Shocking) EventKey() string { return e.Key }

// MarshalJSON panics.
func (Shocking) MarshalJSON() ([]byte, error) { panic("it cannot be encoded") }
