// Command troupe-vet finds mistakes in programs on package bus, for go vet and for editors that run go vet:
//
//	go vet -vettool=$(which troupe-vet) ./...
package main

import (
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/troupebus/troupe/bus/vet"
)

func main() { unitchecker.Main(vet.Analyzers...) }
