// Package config is what a deployable is told: its settings, where each of them comes from, and what is wrong with them.
//
// A setting is declared once, in the table. Its flag, its environment variable, its place in the file, what `troupe config`
// prints and what is checked follow from there. A flag counts over the environment, the environment over the file, and the
// file over the default; in a file that describes several deployables, what one of them says counts over what they share.
// Everything that is wrong, in whatever source, is in one error, Mistakes.
//
// Secrets have no flag, which every user of the machine could read, and are never printed: not by Rows, and in no Mistake.
//
// The package may import everything but cmd.
package config
