// Package wal has the write-ahead log of a journal: the layout of its file in advance, its checkpoints, and its length.
package wal
