package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxBody is how large a body may be, in bytes.
const maxBody = 1 << 20

// readBody reads the body of r and has decode make a T of it.
func readBody[T any](w http.ResponseWriter, r *http.Request, decode func(body []byte) (T, error)) (T, error) {
	var none T
	if err := checkMediaType(r.Header.Get("Content-Type")); err != nil {
		return none, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return none, tooLarge(fmt.Sprintf("a body may have %d bytes", maxBody))
	case err != nil:
		return none, malformed("the body broke off: " + err.Error())
	}
	return decode(body)
}

func checkMediaType(header string) error {
	mediaType, params, err := mime.ParseMediaType(header)
	charset := params["charset"]
	if err == nil && mediaType == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		return nil
	}
	p := about(http.StatusUnsupportedMediaType, fmt.Sprintf("the body is to be JSON in UTF-8, with Content-Type: application/json, not %q", header))
	p.header = http.Header{"Accept": {"application/json"}}
	return p
}

// parse checks that body is one JSON value and nothing more.
func parse(body []byte) (json.RawMessage, error) {
	if len(body) == 0 {
		return nil, malformed("the body is empty")
	}
	if !utf8.Valid(body) { // encoding/json would replace what is not, and two different bodies could become one
		return nil, malformed("the body is not UTF-8")
	}
	var value json.RawMessage
	err := json.Unmarshal(body, &value)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return nil, malformed(fmt.Sprintf("the body is not one JSON value: at byte %d: %v", syntax.Offset, err))
	}
	if err != nil {
		return nil, malformed("the body is not one JSON value: " + err.Error())
	}
	return value, nil
}
