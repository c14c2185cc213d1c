//go:build !cgo

package needs

// The compiler's error is the sentence: nothing that imports this package is compiled, so it is the only one.
var _ = Troupe_needs_cgo_for_SQLite__install_a_C_compiler_such_as_gcc_and_build_with_CGO_ENABLED_1
