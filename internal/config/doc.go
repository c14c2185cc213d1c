// Package config reads the settings of a deployable, records the source of each value, and reports mistakes.
//
// A Program has a name, modules and, optionally, settings of its own. A setting is declared once: in the table of the
// settings of every program, or by a field of the program's own struct. The declaration gives the flag, the environment
// variable, the path in the file, the line of the command config, and the checks.
//
// A flag overrides the environment, the environment overrides the file, and the file overrides the default. In a file
// that describes several deployables, a value of a deployable overrides a shared value. All mistakes in all sources are
// reported in one error, Mistakes.
//
// Secrets have no flag, because every user of the machine can read the flags of a process. Neither Rows nor a Mistake
// prints a secret.
package config
