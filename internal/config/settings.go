package config

import (
	"slices"
	"strings"

	"github.com/troupebus/troupe/transports"
)

// Settings are those of one deployable: a process with a journal, which runs some of the modules.
type Settings struct {
	Name    string            // of the deployable; never empty once loaded
	Modules []string          // that run here; nil for all
	Journal string            // path
	HTTP    string            // address to listen on
	Hosts   []string          // names that it answers for over HTTP, beside localhost and addresses
	Peers   map[string]string // by module, the base URL of the deployable that runs it; for answers to clients
	Backend transports.Config // without Group and loggers, which are not settings
	Prefix  string            // of the topics
	Create  bool              // topics that are missing

	// Own is a pointer to the settings that only this program has, of the type that NewProgram was given; nil
	// without.
	Own any

	secretFiles map[string]*string // path of the file with a secret, by the secret's setting
}

// file returns a pointer to the name of the file that has the secret at path.
func (s *Settings) file(path string) *string {
	if s.secretFiles == nil {
		s.secretFiles = map[string]*string{}
	}
	if s.secretFiles[path] == nil {
		s.secretFiles[path] = new(string)
	}
	return s.secretFiles[path]
}

// Transport is the transport's config, without a group.
func (s *Settings) Transport() transports.Config {
	c := s.Backend
	c.Kafka.Prefix, c.Postgres.Prefix = s.Prefix, s.Prefix
	c.Kafka.NoCreate, c.Postgres.NoCreate = !s.Create, !s.Create
	return c
}

// Where is where the transport is, without who logs in; "" where there is none, or where it cannot be told.
func (s *Settings) Where() string {
	switch s.Backend.Kind {
	case transports.Kafka:
		return strings.Join(s.Backend.Kafka.Brokers, ",")
	case transports.Postgres:
		return database(s.Backend.Postgres.URL)
	}
	return ""
}

// Runs reports whether the module called name runs in this deployable.
func (s *Settings) Runs(name string) bool {
	return s.Modules == nil || slices.Contains(s.Modules, name)
}

// nameOf is what a deployable is called that has no name: after what it runs.
func nameOf(modules []string) string {
	if modules == nil {
		return all
	}
	return strings.Join(modules, "-")
}

// all stands for every module.
const all = "all"
