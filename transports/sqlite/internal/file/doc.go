// Package file opens the files of a journal: paths, the lock of the owner, the connections and their settings, and
// the checks that the files are a whole journal and still in place.
package file

import _ "github.com/troupebus/troupe/transports/sqlite/internal/needs" // cgo
