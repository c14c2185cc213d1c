// Package acts changes a journal for people: it replays and drops dead letters, and retries and drops open deliveries.
// An act writes beside the owner of the journal.
package acts
