// Package httpserve is what every HTTP server that Troupe starts has in common: which hosts it answers for, which pages may write
// to it, how much it takes at once, and for how long.
//
//   - Host must be an IP address, localhost, or one of Config.Hosts. A page in a browser on the same machine can make a name of its
//     own lead to a local server (DNS rebinding), but not an address. Anything else is refused with 421.
//   - A request that writes, and that a browser sends for a page of another origin, is refused with 403
//     (http.CrossOriginProtection). Programs that are no browsers are not concerned.
//   - Headers may have 64 KiB (431 above), and there are bounds on the time that a client may take.
//   - Connections are bounded by what the process may open. One that comes when all are taken gets a 503 to whatever it asks, but for
//     Config.Probes: those who look after the process hear of its health under any load.
//
// Refusals are application/problem+json (RFC 9457), with what to do next. Link is how a server shows a link to other deployables.
//
// The package imports the standard library and bus.
package httpserve
