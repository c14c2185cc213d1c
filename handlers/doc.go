// Package handlers is the shop's choreography: one file a module, every reaction of it from top to bottom.
//
// A handler decodes nothing, commits nothing and retries nothing: it asks its domain module what follows from an event and
// returns that as events. Handlers of different modules share only contracts.
package handlers
