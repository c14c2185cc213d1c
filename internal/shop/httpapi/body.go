package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/wire"
)

// How large a body may be, in bytes, and how much of it is read before it counts as large.
const (
	maxBody   = 512 << 10
	smallBody = 8 << 10
)

// largeBodies is how many large bodies are read at once: 32 MiB of them. Small ones are never kept waiting by large ones, however
// slowly these come.
const largeBodies = 64

// turnTimeout is how long a large body may wait for its turn.
const turnTimeout = 2 * time.Second

// intake bounds what is held in memory of bodies.
type intake struct {
	large    chan struct{} // full while as many large bodies are read as may be
	decoding chan struct{} // full while as many bodies are decoded as there are processors for
}

func newIntake() intake {
	return intake{large: make(chan struct{}, largeBodies), decoding: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
}

// readBody reads the body of r and has decode make a T of it.
func readBody[T any](a *API, w http.ResponseWriter, r *http.Request, decode func(body []byte) (T, error)) (T, error) {
	var none T
	if err := checkMediaType(r.Header.Get("Content-Type")); err != nil {
		return none, err
	}
	body, done, err := a.intake.read(w, r)
	if err != nil {
		return none, err
	}
	defer done()
	select {
	case a.intake.decoding <- struct{}{}:
		defer func() { <-a.intake.decoding }()
	case <-r.Context().Done():
		return none, r.Context().Err()
	}
	return decode(body)
}

// read returns the body of r. done is to be called when it is not needed any more.
func (i intake) read(w http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	if r.ContentLength > maxBody {
		return nil, nil, tooLarge(fmt.Sprintf("the body has %d bytes: at most %d", r.ContentLength, maxBody))
	}
	done = func() {}
	from := http.MaxBytesReader(w, r.Body, maxBody)
	if body, err = io.ReadAll(io.LimitReader(from, smallBody)); err == nil && len(body) == smallBody {
		if done, err = i.turn(r.Context()); err != nil {
			return nil, nil, err
		}
		rest := bytes.NewBuffer(append(make([]byte, 0, min(maxBody, max(r.ContentLength, 2*smallBody))+bytes.MinRead), body...))
		_, err = rest.ReadFrom(from)
		body = rest.Bytes()
	}
	var over *http.MaxBytesError
	switch {
	case err == nil:
		return body, done, nil
	case errors.As(err, &over):
		err = tooLarge(fmt.Sprintf("the body has more than %d bytes", maxBody))
	default:
		err = malformed("the body ended early: " + err.Error())
	}
	done()
	return nil, nil, err
}

// turn waits until one more large body may be read; done ends that.
func (i intake) turn(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, turnTimeout, errors.New("too many large bodies are being read"))
	defer cancel()
	select {
	case i.large <- struct{}{}:
		return func() { <-i.large }, nil
	case <-ctx.Done():
		p := unavailable(context.Cause(ctx))
		p.Detail = fmt.Sprintf("the server is reading %d bodies of more than %d bytes, its maximum: try again, or send a smaller body", largeBodies, smallBody)
		return nil, p
	}
}

func checkMediaType(header string) error {
	mediaType, params, err := mime.ParseMediaType(header)
	charset := params["charset"]
	if err == nil && mediaType == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		return nil
	}
	p := about(http.StatusUnsupportedMediaType, fmt.Sprintf("the body must be JSON in UTF-8 with Content-Type: application/json, not %q", header))
	p.header = http.Header{"Accept": {"application/json"}}
	return p
}

// parse checks that body is one JSON value and nothing more, by the rule that holds for payloads of events, too.
func parse(body []byte) (json.RawMessage, error) {
	if len(body) == 0 {
		return nil, malformed("the body is empty")
	}
	if err := wire.CheckJSON(body); err != nil {
		return nil, malformed("the body is not a valid JSON value: " + err.Error())
	}
	return bytes.TrimSpace(body), nil
}
