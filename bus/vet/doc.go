// Package vet finds mistakes in programs on package bus that the compiler does not find. The analyzers fit each driver
// of golang.org/x/tools/go/analysis: go vet, golangci-lint and editors.
//
// For go vet, and for editors that run go vet:
//
//	go install github.com/troupebus/troupe/cmd/troupe-vet@latest
//	go vet -vettool=$(which troupe-vet) ./...
//
// A comment on the line of a finding, or on the line before, says that the code is meant. A comment above the package
// clause holds for the file. The comment has the name of the analyzer, and a reason:
//
//	seen := time.Now() //troupe:allow clock the row is a log of attempts
//
// Package vet is a seam: a minor version may change the package, and the changelog says how.
package vet
