// Package scaffold writes a new program: the package tree below template, with other names.
//
// The template compiles and has tests, with two modules: signup, and welcome, which reacts to signup. Comments on
// separate lines describe programs with another number of modules:
//
//	//new:each welcome    the lines up to //new:end, once for each reacting module
//	//new:several         the lines up to //new:end, where a module reacts
//	//new:alone CODE      CODE, where no module reacts
//
// In files of other languages they begin with #. PORT stands for a port of each module's own.
package scaffold
