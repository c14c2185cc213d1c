package httpserve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"
)

// Config configures a server. Only Handler is required.
type Config struct {
	// Handler answers the requests that are not refused. Required.
	Handler http.Handler
	// Hosts are names, without ports, for which the server answers in addition to localhost and IP addresses. Defaults
	// to none.
	Hosts []string
	// Probes are paths that are answered in spite of too many connections. Defaults to none.
	Probes []string
	// MaxConnections is the maximum number of connected clients. Defaults to Limits.
	MaxConnections int
	// ReadTimeout, WriteTimeout and IdleTimeout are those of http.Server. They default to 30 s, 30 s and 2 minutes.
	ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// Logger receives the errors of http.Server. Defaults to slog.Default.
	Logger *slog.Logger
}

const (
	headerTimeout = 5 * time.Second
	maxHeader     = 64 << 10 // bytes
)

// Server is an http.Server with checks and bounds. Serve is called once.
type Server struct {
	cfg  Config
	http *http.Server
}

// New returns a server, which does nothing before Serve.
func New(c Config) *Server {
	c.MaxConnections = cmp.Or(c.MaxConnections, Limits().Connections)
	c.ReadTimeout, c.WriteTimeout = cmp.Or(c.ReadTimeout, 30*time.Second), cmp.Or(c.WriteTimeout, 30*time.Second)
	if c.IdleTimeout = cmp.Or(c.IdleTimeout, 2*time.Minute); c.Logger == nil {
		c.Logger = slog.Default()
	}
	s := &Server{cfg: c}
	s.http = &http.Server{
		Handler: s.guard(c.Handler), ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
		ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout, IdleTimeout: c.IdleTimeout,
		ErrorLog:    slog.NewLogLogger(c.Logger.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	return s
}

// Serve answers requests on l, and closes l. It returns nil after Shutdown or Close, or else an error.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(newListener(l, s.cfg.MaxConnections)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting connections, and returns when all requests are answered, or with ctx's error.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// Close closes all connections.
func (s *Server) Close() error { return s.http.Close() }

// connKey is the key of the connection in the context of a request.
type connKey struct{}

// guard refuses requests that must not reach h.
func (s *Server) guard(h http.Handler) http.Handler {
	hosts := allowed(s.cfg.Hosts)
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok && c.beyond {
			w.Header().Set("Connection", "close")
			if !slices.Contains(s.cfg.Probes, r.URL.Path) {
				w.Header().Set("Retry-After", "1")
				Refuse(w, r, http.StatusServiceUnavailable, s.crowded())
				return
			}
		}
		if !hosts.has(r.Host) {
			Refuse(w, r, http.StatusMisdirectedRequest, fmt.Sprintf(
				"this server does not answer for the host %.100q: use its IP address or localhost, or add this name to the hosts of its settings", r.Host))
			return
		}
		if err := origins.Check(r); err != nil {
			Refuse(w, r, http.StatusForbidden, "a page of another origin may not write here: send this from a program, or from a page of the same origin")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Server) crowded() string {
	return fmt.Sprintf("the maximum of %d clients is connected: try again later, and reuse connections instead of opening new ones", s.cfg.MaxConnections)
}

// Refuse answers r with a problem (RFC 9457) for the status.
func Refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	body, _ := json.Marshal(problem{"about:blank", http.StatusText(status), status, detail, r.URL.EscapedPath()}) // cannot fail: strings and a number
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // fails when the client has left
}

// problem is the body of a refusal (RFC 9457).
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance,omitempty"`
}
