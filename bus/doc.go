// Package bus is an event bus for modular monoliths: modules react to events, in one process on one journal, and cannot
// tell when they are later moved into processes of their own.
//
// A Module is one business capability. Its handlers, registered with On, each react to one type of event under a
// durable name, the subscription. A handler returns the events that it emits; what it wrote through Tx, those events,
// and the record that it ran are one commit. Publishing before that commit is not something that can be written.
//
// # Guarantees
//
// Effects happen exactly once: a reaction that is interrupted, or delivered twice, leaves one set of effects. A handler
// marked External calls the outside world without a transaction; it may be called again after a crash, with the same
// Info.ID, which it passes on as the idempotency key.
//
// Events of one key reach a subscription in the order of the journal. A failed one is retried with backoff, while later
// ones of its key wait and all other keys go on. What cannot be processed becomes a dead letter of that subscription.
// For every event and every subscription there is one recorded answer.
//
// # Shutdown
//
// Run blocks until its context ends. Then nothing new is taken; handlers finish within Config.ShutdownTimeout; external
// calls that take longer are cancelled, and made again by the next process. Whoever opened the journal closes it, after
// Run has returned.
//
// This package imports the standard library and Watermill's core. It knows no transport and no domain.
package bus
