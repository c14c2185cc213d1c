package main

// Asked starts every flow. Key and N together are unique.
type Asked struct {
	Key  string `json:"key"`
	N    int    `json:"n"`
	Mood string `json:"mood,omitempty"` // how the moody handlers take the event; they ignore events without a mood
	Tags []int  `json:"tags,omitempty"`
	Pad  string `json:"pad,omitempty"`
}

// EventType returns the event's type.
func (Asked) EventType() string { return "torture.asked" }

// EventKey returns the event's key.
func (e Asked) EventKey() string { return e.Key }

// Noted is emitted by the ledger, for the module tail.
type Noted struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

// EventType returns the event's type.
func (Noted) EventType() string { return "torture.noted" }

// EventKey returns the event's key.
func (e Noted) EventKey() string { return e.Key }

// Called is emitted by the ledger after an external call.
type Called struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

// EventType returns the event's type.
func (Called) EventType() string { return "torture.called" }

// EventKey returns the event's key.
func (e Called) EventKey() string { return e.Key }

// Inside must never be in a log: a handler tries to publish it before the handler's commit.
type Inside struct {
	Key string `json:"key"`
}

// EventType returns the event's type.
func (Inside) EventType() string { return "torture.inside" }

// EventKey returns the event's key.
func (e Inside) EventKey() string { return e.Key }

// Loud has no consumer, and is sent to the topic of the module moody.
type Loud struct {
	Key string `json:"key"`
}

// EventType returns the event's type.
func (Loud) EventType() string { return "torture.loud" }

// EventKey returns the event's key.
func (e Loud) EventKey() string { return e.Key }

// Shocking panics when it is encoded.
type Shocking struct {
	Key string `json:"key"`
}

// EventType returns the event's type.
func (Shocking) EventType() string { return "torture.shocking" }

// EventKey returns the event's key.
func (e Shocking) EventKey() string { return e.Key }

// MarshalJSON panics.
func (Shocking) MarshalJSON() ([]byte, error) { panic("it cannot be encoded") }
