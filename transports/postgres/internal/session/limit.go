package session

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// Limit is a pgx.QueryTracer and a pgx.ConnectTracer. Limit bounds the time of each statement, and of each answer while
// a connection opens. A slow server gets the time for all statements of a call, and a silent server is noticed.
type Limit time.Duration

// endKey is the key of a function that ends a limited context.
type endKey struct{}

// TraceQueryStart implements pgx.QueryTracer. The statement runs in the returned context.
func (l Limit) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l))
	return context.WithValue(ctx, endKey{}, cancel)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (Limit) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	ctx.Value(endKey{}).(context.CancelFunc)()
}

// opening is an attempt to connect, which ends when the server is silent.
type opening struct {
	limit  time.Duration
	silent *time.Timer
	end    context.CancelFunc
}

type openingKey struct{}

// TraceConnectStart implements pgx.ConnectTracer. The connection opens in the returned context.
func (l Limit) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	o := &opening{limit: time.Duration(l), silent: time.AfterFunc(time.Duration(l), cancel), end: cancel}
	return context.WithValue(ctx, openingKey{}, o)
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (Limit) TraceConnectEnd(ctx context.Context, _ pgx.TraceConnectEndData) {
	o := ctx.Value(openingKey{}).(*opening)
	o.silent.Stop()
	o.end()
}

// Dialed returns a connection of an attempt to connect in ctx: every answer through conn prolongs the attempt.
func Dialed(ctx context.Context, conn net.Conn) net.Conn {
	if o, ok := ctx.Value(openingKey{}).(*opening); ok {
		return &openConn{conn, ctx, o}
	}
	return conn // of a request to cancel a statement
}

type openConn struct {
	net.Conn
	ctx     context.Context
	opening *opening
}

// Read implements net.Conn.
func (c *openConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.ctx.Err() == nil {
		c.opening.silent.Reset(c.opening.limit)
	}
	return n, err
}
