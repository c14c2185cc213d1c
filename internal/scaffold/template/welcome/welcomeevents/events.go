// Package welcomeevents is the contract of module welcome: events for other modules. A contract imports nothing.
package welcomeevents

// Sent says: the provider has taken a message.
type Sent struct {
	ID        string `json:"id"`
	Reference string `json:"reference"`
}

// EventType returns the name of the event in journals and on the wire. The name never changes.
func (Sent) EventType() string { return "welcome.sent" }

// EventKey returns the id of the request: a subscription gets the events of one request in order.
func (e Sent) EventKey() string { return e.ID }
