// Package count counts the log, the deliveries and the dead letters of a journal in steps, so that a reader need not
// go through all of them.
package count
