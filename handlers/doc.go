// Package handlers is the choreography of the shop: one file for each module, with all its reactions.
//
// A handler decodes, commits and retries nothing. It calls the domain module and returns the events that follow.
// Handlers of different modules share only contracts.
package handlers
