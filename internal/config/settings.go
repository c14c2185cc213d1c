package config

import (
	"slices"
	"strings"

	"github.com/troupebus/troupe/internal/config/endpoint"
	"github.com/troupebus/troupe/internal/config/parse"
	"github.com/troupebus/troupe/transports"
)

// Settings are the settings of a deployable: a process that runs some of the modules, or all, on a journal.
type Settings struct {
	Name    string            // of the deployable; not empty after Load
	Modules []string          // modules of the deployable; nil for all
	Journal string            // path
	HTTP    string            // address to listen on
	Hosts   []string          // accepted host names of requests, beside localhost and IP addresses
	Peers   map[string]string // base URLs of other deployables, by module, for answers to clients
	Backend transports.Config // without Group and loggers
	Prefix  string            // of the topics
	Create  bool              // create missing topics

	// Own is a pointer to the program's own settings, with the type of the argument of NewProgram; nil for no settings.
	Own any

	secretFiles map[string]*string // the path of the file with a secret, by the path of the setting
}

// file returns a pointer to the name of the file with the secret at path.
func (s *Settings) file(path string) *string {
	if s.secretFiles == nil {
		s.secretFiles = map[string]*string{}
	}
	if s.secretFiles[path] == nil {
		s.secretFiles[path] = new(string)
	}
	return s.secretFiles[path]
}

// Transport returns the configuration of the transport, without a group.
func (s *Settings) Transport() transports.Config {
	c := s.Backend
	c.Kafka.Prefix, c.Postgres.Prefix = s.Prefix, s.Prefix
	c.Kafka.NoCreate, c.Postgres.NoCreate = !s.Create, !s.Create
	return c
}

// Where returns the address of the backend, without user and password; "" without a backend, or for an unreadable URL.
func (s *Settings) Where() string {
	switch s.Backend.Kind {
	case transports.Kafka:
		return strings.Join(s.Backend.Kafka.Brokers, ",")
	case transports.Postgres:
		return endpoint.DatabaseText(s.Backend.Postgres.URL)
	}
	return ""
}

// Runs reports whether the module called name runs in this deployable.
func (s *Settings) Runs(name string) bool {
	return s.Modules == nil || slices.Contains(s.Modules, name)
}

// nameOf returns the default name of a deployable with modules.
func nameOf(modules []string) string {
	if modules == nil {
		return parse.All
	}
	return strings.Join(modules, "-")
}
