package bus

import (
	"context"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"
)

// routerLogger adapts Watermill's logging to slog. Two things differ from Watermill's own adapter: level info becomes
// debug, and messages that are not logged are not formatted (the adapter would format two messages for each delivery).
type routerLogger struct {
	watermill.LoggerAdapter
	to *slog.Logger
}

func newRouterLogger(to *slog.Logger) routerLogger {
	levels := map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug}
	return routerLogger{watermill.NewSlogLoggerWithLevelMapping(to, levels), to}
}

func (l routerLogger) debugging() bool { return l.to.Enabled(context.Background(), slog.LevelDebug) }

// Info logs with level debug.
func (l routerLogger) Info(msg string, fields watermill.LogFields) {
	if l.debugging() {
		l.LoggerAdapter.Info(msg, fields)
	}
}

// Debug logs with level debug.
func (l routerLogger) Debug(msg string, fields watermill.LogFields) {
	if l.debugging() {
		l.LoggerAdapter.Debug(msg, fields)
	}
}

// Trace logs below level debug.
func (l routerLogger) Trace(msg string, fields watermill.LogFields) {
	if l.debugging() {
		l.LoggerAdapter.Trace(msg, fields)
	}
}

// With returns a logger that adds fields.
func (l routerLogger) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return routerLogger{l.LoggerAdapter.With(fields), l.to}
}
