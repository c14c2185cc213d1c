// Package needs makes a build without cgo fail with a sentence, since SQLite needs cgo. Go builds without cgo when it
// finds no C compiler, and when it builds for another system.
package needs
