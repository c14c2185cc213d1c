//go:build !cgo

package needs

// The name is the error of the compiler. No importer of this package is compiled, so the build shows no other error.
var _ = Troupe_needs_cgo_for_SQLite__install_a_C_compiler_such_as_gcc_and_build_with_CGO_ENABLED_1
