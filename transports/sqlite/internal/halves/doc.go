// Package halves settles moves of modules between two journals when a process died in the middle of a move.
package halves
