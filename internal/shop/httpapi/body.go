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

// The maximal size of a body, and the size from which a body is large, in bytes.
const (
	maxBody   = 512 << 10
	smallBody = 8 << 10
)

// largeBodies is the number of large bodies that are read at the same time: 32 MiB in all. Small bodies never wait
// for large ones, even if the large ones come slowly.
const largeBodies = 64

// turnTimeout is how long a large body may wait to be read.
const turnTimeout = 2 * time.Second

// intake limits the memory for bodies.
type intake struct {
	large    chan struct{} // full while largeBodies bodies are read
	decoding chan struct{} // full while two bodies a processor are decoded
}

func newIntake() intake {
	return intake{large: make(chan struct{}, largeBodies), decoding: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
}

// readBody reads the body of r, and returns the value that decode makes of the body.
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

// read returns the body of r. The caller calls done when the body is not needed any more.
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
		size := min(maxBody, max(r.ContentLength, 2*smallBody)) + bytes.MinRead
		rest := bytes.NewBuffer(append(make([]byte, 0, size), body...))
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

// turn waits until another large body may be read. done lets the next one in.
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

// parse checks that body is a single JSON value, by the same rule as for the payloads of events.
func parse(body []byte) (json.RawMessage, error) {
	if len(body) == 0 {
		return nil, malformed("the body is empty")
	}
	if err := wire.CheckJSON(body); err != nil {
		return nil, malformed("the body is not a valid JSON value: " + err.Error())
	}
	return bytes.TrimSpace(body), nil
}
