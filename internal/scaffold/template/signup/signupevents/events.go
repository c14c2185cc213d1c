// Package signupevents is the contract of module signup: events for other modules. A contract imports nothing.
package signupevents

// Accepted says: a request was accepted.
type Accepted struct {
	ID      string `json:"id"`
	Address string `json:"address"`
}

// EventType returns the name of the event in journals and on the wire. The name never changes.
func (Accepted) EventType() string { return "signup.accepted" }

// EventKey returns the id of the request: a subscription gets the events of one request in order.
func (e Accepted) EventKey() string { return e.ID }
