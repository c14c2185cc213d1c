package scaffold

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// picture returns the golden flow of a program with these modules, as bustest draws the flow.
func picture(modules []string) string {
	lines := []string{"sequenceDiagram"}
	first, others := modules[0], slices.Sorted(slices.Values(modules[1:]))
	for _, m := range append([]string{first}, others...) {
		lines = append(lines, "    participant "+m)
	}
	if len(others) == 0 {
		lines = append(lines, "    participant outside", fmt.Sprintf("    %s->>outside: %s.accepted", first, first))
	}
	for _, m := range others {
		lines = append(lines, fmt.Sprintf("    %s->>%s: %s.accepted (send)", first, m, first))
	}
	for _, m := range others {
		lines = append(lines, fmt.Sprintf("    %s->>%s: %s.sent (note-%s)", m, first, m, m))
	}
	return strings.Join(lines, "\n") + "\n"
}

// contract returns the contract of a program with these modules, as bustest writes the contract.
func contract(modules []string) []byte {
	type event struct {
		Version int               `json:"version"`
		Emitter string            `json:"emitter"`
		Keyed   bool              `json:"keyed"`
		Fields  map[string]string `json:"fields"`
	}
	var c struct {
		Events        map[string]event  `json:"events"`
		Subscriptions map[string]string `json:"subscriptions"`
	}
	first := modules[0]
	accepted := event{1, first, true, map[string]string{"id": "string", "address": "string"}}
	c.Events = map[string]event{first + ".accepted": accepted}
	c.Subscriptions = map[string]string{}
	for _, m := range modules[1:] {
		c.Events[m+".sent"] = event{1, m, true, map[string]string{"id": "string", "reference": "string"}}
		c.Subscriptions[m+"/send"] = first + ".accepted"
		c.Subscriptions[first+"/note-"+m] = m + ".sent"
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		panic(err) // names and numbers have JSON
	}
	return append(text, '\n')
}
