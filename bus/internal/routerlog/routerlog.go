// Package routerlog logs the messages of the Watermill router with slog.
package routerlog

import (
	"context"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"
)

// Logger adapts Watermill's logging to slog. Two things differ from Watermill's own adapter: level info becomes
// debug, and messages that are not logged are not formatted (the adapter would format two messages for each delivery).
type Logger struct {
	watermill.LoggerAdapter
	to *slog.Logger
}

// New returns a logger that logs to to.
func New(to *slog.Logger) Logger {
	levels := map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug}
	return Logger{watermill.NewSlogLoggerWithLevelMapping(to, levels), to}
}

func (l Logger) debugging() bool { return l.to.Enabled(context.Background(), slog.LevelDebug) }

// Info logs with level debug.
func (l Logger) Info(msg string, fields watermill.LogFields) {
	if l.debugging() {
		l.LoggerAdapter.Info(msg, fields)
	}
}

// Debug logs with level debug.
func (l Logger) Debug(msg string, fields watermill.LogFields) {
	if l.debugging() {
		l.LoggerAdapter.Debug(msg, fields)
	}
}

// Trace logs below level debug.
func (l Logger) Trace(msg string, fields watermill.LogFields) {
	if l.debugging() {
		l.LoggerAdapter.Trace(msg, fields)
	}
}

// With returns a logger that adds fields.
func (l Logger) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return Logger{l.LoggerAdapter.With(fields), l.to}
}
