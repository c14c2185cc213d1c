// Package records reads a journal for observers: the records of deliveries, and the delayed and cancelled events. One
// event carries many of them.
package records
