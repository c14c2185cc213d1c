// Package httpserve contains the common parts of all HTTP servers of Troupe. It checks hosts and origins, and bounds
// connections and times.
//
//   - Host must be an IP address, localhost, or an element of Config.Hosts; other hosts are refused with 421. A page
//     in a browser on the same machine can make its own name lead to a local server (DNS rebinding), but not an
//     address.
//   - Requests that write are refused with 403 when a browser sends them for a page of another origin
//     (http.CrossOriginProtection). Other programs are not affected.
//   - Headers may have 64 KiB (431 above), and a client has limited time.
//   - The number of connections is bounded by the process's limit of open files. Above the bound, a connection gets
//     a 503 for every request but Config.Probes, so that health checks work under any load.
//
// Refusals are application/problem+json (RFC 9457), with advice. Link is the JSON form of a link to other
// deployables.
//
// The package imports the standard library and bus.
package httpserve
