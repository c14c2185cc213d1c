// Package acts changes what is open in a journal for people: it replays and drops dead letters, and retries and drops open deliveries.
// It writes beside the owner of the journal.
package acts
