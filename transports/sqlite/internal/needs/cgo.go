// Package needs stops a build without cgo, without which there is no SQLite. Go builds without cgo where it finds no C compiler, and
// for another system.
package needs
