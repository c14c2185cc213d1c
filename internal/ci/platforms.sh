#!/bin/sh
# Builds the module by the oldest Go that go.mod allows, and for the platforms that CI does not run on. SQLite needs a C
# compiler for the platform. Without a compiler, the packages without SQLite are built, and the output says so.
set -u
module=$(go list -m)
status=0
# the optimizer takes a minute for SQLite, and nothing is run
export CGO_CFLAGS=-O0

oldest=$(go list -m -f '{{.GoVersion}}')
needed=$(go list -m -f '{{if not .Main}}{{.GoVersion}}{{end}}' all | sort -V | tail -n 1)
if [ "$(printf '%s\n' "$oldest" "$needed" | sort -V | tail -n 1)" != "$needed" ]; then
	echo "go.mod asks for Go $oldest, and the dependencies for $needed only: lower the version in go.mod" >&2
	status=1
fi
if GOTOOLCHAIN=go$oldest go version >/dev/null 2>&1; then
	echo "go build ./... by go$oldest"
	GOTOOLCHAIN=go$oldest go build ./... || status=1
else
	echo "NOT CHECKED: Go $oldest, the oldest that go.mod allows, cannot be downloaded"
fi

# build PLATFORM ARCHITECTURE COMPILER PACKAGE
build() {
	export GOOS="$1" GOARCH="$2"
	scratch=$(mktemp -d)
	echo 'int main(void) { return 0; }' >"$scratch/main.c"
	if $3 -o "$scratch/main" "$scratch/main.c" 2>/dev/null; then
		echo "go build ./... for $1/$2"
		CGO_ENABLED=1 CC="$3" go build ./... || status=1
	else
		echo "NOT CHECKED: packages with SQLite for $1/$2: the compiler $3 is missing: apt-get install $4"
		without=$(CGO_ENABLED=0 go list -test -f '{{.ImportPath}} {{join .Deps " "}}' ./... | awk -v module="$module" '
			{ name = $1; sub(/_test$|\.test$/, "", name) }
			index(name, module) == 1 { all[name] }
			/mattn\/go-sqlite3/ { with[name] }
			END { for (name in all) if (!(name in with)) print name }' | sort)
		echo "go build of $(echo "$without" | wc -l) packages for $1/$2"
		CGO_ENABLED=0 go build $without || status=1
	fi
	rm -rf "$scratch"
}

build linux 386 'gcc -m32' gcc-multilib
build windows amd64 x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
exit $status
