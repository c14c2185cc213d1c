// Package wake wakes the readers of a journal after a commit: subscriptions, consumer groups, feeds.
package wake
