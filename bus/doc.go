// Package bus is an event bus for modular monoliths. Modules react to events in one process, on one journal. Later,
// modules can move to processes of their own without a change to their code.
//
// A Module is a business capability. On registers a handler: a function that reacts to one type of event under a
// durable name, the subscription. OnEach registers a handler of several types, and OnAll of
// every type.
//
// A handler writes through Tx and returns the events to emit. The writes, the events and the record of the delivery
// are one commit. A handler cannot publish before the commit: the API has no way to write that.
//
// # Guarantees
//
// Effects in the journal happen exactly once: a reaction that is interrupted, or an event that is delivered twice,
// leaves one set of effects. A handler marked External calls the outside world without a transaction. After a crash
// the bus may call an external handler again, with the same Info.ID: pass Info.ID on as the idempotency key.
//
// Events with the same key reach a subscription in the order of the journal, whatever their types. Between two
// subscriptions, also of one module, there is no order. A failed event is retried with backoff. Meanwhile later events
// with the same key wait, and other keys continue. An event that cannot be processed becomes a dead letter of the
// subscription. The journal records exactly one answer for every event and subscription.
//
// # Shutdown
//
// Run blocks until its context ends. Then the bus starts no new reaction, and waits up to Config.ShutdownTimeout for
// running handlers. External calls that take longer are cancelled, and the next process calls again. The caller
// closes the journal after Run has returned.
//
// This package imports the standard library and Watermill's core, but no transport and no domain.
//
// Package bus is a promise: no minor version breaks a program that uses the package.
package bus
