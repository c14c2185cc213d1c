// Package httpapi is the shop's HTTP API for programs: orders and stock as JSON, flows as Server-Sent Events.
//
//	POST /api/orders              place an order: {customer_id, lines: [{sku, quantity, unit_price_cents}],
//	                              charges: [{code, amount_cents}]}
//	GET  /api/orders/{id}         an order; ?wait=5s, up to 60s, waits for the end of the order
//	GET  /api/orders/{id}/events  past and future events of the order: text/event-stream, resumed with Last-Event-ID
//	POST /api/orders/{id}/cancel  cancel an open order: {reason}
//	POST /api/orders/{id}/return  take back a completed order: {reason}
//	PUT  /api/stock/{sku}         the first delivery of an article: {quantity}
//	GET  /api/stock/{sku}         the stock of an article
//
// Every change is durable before the answer. Placing an order answers 202, and the modules go on from there. Requests
// with the same Idempotency-Key and the same order place a single order, even at the same time. A different order with
// the same key is refused. A key has 1 to 255 visible ASCII characters, and belongs to its order for 7 days, for all
// clients. Requests to cancel, return or deliver may be repeated: PUT of a known article changes no stock, and answers
// 200 with the stock instead of 201. The traceparent of a request (W3C Trace Context) is in the metadata of all events
// that follow.
//
// Every refusal is an application/problem+json (RFC 9457). The field errors lists all invalid fields at once, each with
// a pointer (RFC 6901) into the body, or with the name of a parameter or header. The field possible lists the possible
// actions by name and address. Clients distinguish problems by status and type:
//
//	urn:problem-type:troupe:malformed        400  the body is no JSON, or a parameter or header is invalid
//	urn:problem-type:troupe:order-not-found  404
//	urn:problem-type:troupe:sku-not-found    404
//	urn:problem-type:troupe:too-late         409  the order has ended, or is not completed
//	urn:problem-type:troupe:too-large        413
//	urn:problem-type:troupe:elsewhere        421  the module runs in another deployable; the field there, if present,
//	                                              is the same address in that deployable
//	urn:problem-type:troupe:invalid          422  the body is JSON, but no order, reason or quantity
//	urn:problem-type:troupe:key-reused       422  the Idempotency-Key was used for another order
//	urn:problem-type:troupe:unavailable      503  try again: a request that may be repeated, or has a key, takes effect
//	                                              only once
//	about:blank                              the status is the type: 403, 404, 405, 415, 421, 500, 503
//
// A deployable with only some of the modules answers for these modules. Requests for another module get 421 and no
// redirect, so that a client sends an order to another address only on purpose. Package front makes the 421, and serves
// /healthz and /readyz.
//
// docs/input.md has the limits of requests, and the rules for JSON and names. A Last-Event-ID that is not the id of an
// event of the stream starts the stream from the beginning.
//
// There is no authentication: listen where only trusted clients can connect.
//
// The package may import every other package but cmd.
package httpapi
