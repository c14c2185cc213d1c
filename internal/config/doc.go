// Package config reads the settings of a deployable, knows where each value comes from, and finds what is wrong
// with them.
//
// A Program has a name, modules and, optionally, settings of its own. A setting is declared once: in the table of
// those that every program has, or by a field of the program's own struct. Its flag, its environment variable, its
// place in the file, its line of `config` and its checks follow from there.
//
// A flag counts over the environment, the environment over the file, and the file over the default. In a file that
// describes several deployables, a deployable's own value counts over a shared one. One error, Mistakes, has
// everything that is wrong, in every source.
//
// Secrets have no flag, because every user of the machine could read one. They are never printed, neither by Rows
// nor in a Mistake.
//
// The package may import everything but cmd.
package config
