// Package httpapi is the shop's door for programs: orders and stock as JSON over HTTP, flows as Server-Sent Events.
//
//	POST /api/orders               place an order: {customer_id, lines: [{sku, quantity, unit_price_cents}], charges: [{code, amount_cents}]}
//	GET  /api/orders/{id}          the order as it stands; with ?wait=5s, up to 60s, as soon as it has ended
//	GET  /api/orders/{id}/events   everything that happened and happens about it: text/event-stream, resumed with Last-Event-ID
//	POST /api/orders/{id}/cancel   ask that an open order be undone: {reason}
//	POST /api/orders/{id}/return   take back a completed order: {reason}
//	PUT  /api/stock/{sku}          the first delivery of an article: {quantity}
//	GET  /api/stock/{sku}          what there is of it
//	GET  /healthz                  the process is alive
//	GET  /readyz                   the bus runs and the journal takes writes, as far as they know, without a write or a wait; and how the links
//	                               to other deployables are
//
// Whatever changes something is durable before it is answered. Placing answers 202: the modules take it from there.
// With an Idempotency-Key the same order asked for again, at the same time too, is the same order; another one under
// that key is refused. A key is 1 to 255 visible ASCII characters, and stands for its order for as long as the journal exists, whoever
// sends it. Cancelling, returning and delivering may be repeated as they are: PUT of an article that is
// known changes nothing and answers 200 with what there is, not 201.
//
// Everything that is refused is an application/problem+json (RFC 9457). Fields that are wrong are all listed at once in
// errors, each with a pointer (RFC 6901) into the body, or the name of a parameter or header. Where something else is
// possible instead, possible says what, by name and address. Clients tell problems apart by status and type:
//
//	urn:problem-type:troupe:malformed        400  the body is no JSON, or a parameter or header cannot be read
//	urn:problem-type:troupe:order-not-found  404
//	urn:problem-type:troupe:sku-not-found    404
//	urn:problem-type:troupe:too-late         409  the order has ended, or is not completed
//	urn:problem-type:troupe:too-large        413
//	urn:problem-type:troupe:elsewhere        421  the module does not run here: there, if known, is the same address where it does
//	urn:problem-type:troupe:invalid          422  the body is JSON, but no order, reason or quantity
//	urn:problem-type:troupe:key-reused       422  the idempotency key stands for another order
//	urn:problem-type:troupe:unavailable      503  try again: what may be repeated, or has a key, never happens twice
//	about:blank                              the status says it all: 403, 404, 405, 415, 421, 500, 503
//
// A deployable that runs only some of the modules answers for these. What is asked of another it refuses with 421 and redirects
// nobody: whoever sends an order somewhere else is to know. While a link to the others stands still it goes on with what it
// can: /readyz then answers 200 and "degraded".
//
// docs/input.md has the bounds on what is taken, and the rule for JSON and names. A Last-Event-ID that is of no event of the stream
// begins the stream again.
//
// There is no authentication: listen where only those can reach it who may use it.
//
// The package may import everything but cmd.
package httpapi
