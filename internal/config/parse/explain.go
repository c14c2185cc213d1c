package parse

import (
	"bytes"
	"fmt"
	"strings"
)

// Explain returns the text for err, the error of the YAML decoder for data. Of a tab that indents, the decoder does not
// always name the line.
func Explain(data []byte, err error) string {
	for i, line := range bytes.Split(data, []byte("\n")) {
		if text := bytes.TrimLeft(line, " \t"); bytes.ContainsRune(line[:len(line)-len(text)], '\t') {
			return fmt.Sprintf("line %d: a tab indents: use spaces", i+1)
		}
	}
	return strings.TrimPrefix(err.Error(), "yaml: ")
}
