package journal

import (
	"fmt"
	"mime"
	"strings"
)

// The names in Event.Metadata that describe a payload. The names are headers on the wire, too.
const (
	MetaContentType = "content-type"     // the media type of the payload; missing for application/json
	MetaKeyID       = "ce_encryptionkey" // the id of the key that encrypts the payload
)

// IsJSON reports whether a content type is JSON. A missing content type counts as JSON, since events are nearly always
// JSON.
func IsJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json")
}

// shownBytes is the number of bytes that Payload shows of a payload in another format than JSON.
const shownBytes = 16

// Payload describes a payload that is not plain JSON in one line for a terminal: "encrypted with key c-17, 214 bytes",
// or "application/protobuf, 23 bytes: 0a03…". Payload returns "" for JSON, and for an event without a payload.
func (r *EventRecord) Payload() string {
	kind, data := r.Metadata[MetaContentType], r.DataBase64
	if key, ok := r.Metadata[MetaKeyID]; ok {
		return fmt.Sprintf("encrypted with key %s, %s", oneLine(key), plural(len(r.Data)+len(data), "byte"))
	}
	switch {
	case len(data) == 0 && IsJSON(kind):
		return ""
	case kind == "" || IsJSON(kind):
		kind = "not JSON"
	}
	text := fmt.Sprintf("%s, %s", oneLine(kind), plural(len(data), "byte"))
	if n := min(len(data), shownBytes); n > 0 {
		text += fmt.Sprintf(": %x", data[:n])
		if n < len(data) {
			text += "…"
		}
	}
	return text
}
