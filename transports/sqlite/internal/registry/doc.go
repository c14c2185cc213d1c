// Package registry has the subscriptions of a journal: earlier names, runs from the start, and open work of
// subscriptions that a program does not have.
package registry
