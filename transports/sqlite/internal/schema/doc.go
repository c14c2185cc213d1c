// Package schema knows which tables a journal has, and applies the migrations of the journal and of modules.
package schema
