package front

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/troupebus/troupe/internal/httpserve"
)

// health is the answer of a probe.
type health struct {
	Status string           `json:"status"`
	Links  []httpserve.Link `json:"links,omitempty"`
}

func (f *Front) healthz(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, http.StatusOK, health{Status: "alive"})
}

// readyz answers from memory, without a write or a wait, under any load. A failed link makes the deployable degraded,
// not unready: a deployable takes work without links.
func (f *Front) readyz(w http.ResponseWriter, _ *http.Request) error {
	if err := f.cfg.Ready(); err != nil {
		return unready("the bus", err)
	}
	if err := f.cfg.Journal.Health(); err != nil {
		return unready("the journal", err)
	}
	h := health{Status: "ready"}
	for _, l := range f.cfg.Links() {
		v := httpserve.ViewLink(l)
		if h.Links = append(h.Links, v); !v.OK() {
			h.Status = "degraded"
		}
	}
	return reply(w, http.StatusOK, h)
}

// reply answers with value as JSON.
func reply(w http.ResponseWriter, status int, value any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(value)) // a client that has left
	return nil
}

// encode returns value as JSON and a line end. The answer is no HTML, so texts keep their <, > and &.
func encode(value any) []byte {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil { // our own types always can
		panic(err)
	}
	return body.Bytes()
}
