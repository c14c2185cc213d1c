// Package registry has the subscriptions of a journal: the names that each had before, the runs from the start, and the
// work that a program must not leave behind.
package registry
