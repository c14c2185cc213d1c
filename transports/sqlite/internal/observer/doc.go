// Package observer writes the reports of all deployables of a system into the journal of an observer: events, records
// of deliveries, and delayed events. Reports may come late, twice and in any order.
package observer
