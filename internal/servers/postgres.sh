#!/usr/bin/env bash
# A real PostgreSQL for tests, on loopback, from the distribution's binaries.
#
#   postgres.sh install          installs the server with apt-get
#   postgres.sh start DIR [PORT] starts a server with its data in DIR, prints its URL, and writes the URL to DIR/url.
#                                PORT defaults to the last port of DIR, or a free port.
#   postgres.sh stop DIR [MODE]  stops the server; MODE is pg_ctl's: fast, or immediate for a crash
set -euo pipefail

die() {
	echo "postgres.sh: $*" >&2
	exit 1
}

usage() {
	sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
	exit 2
}

install_server() {
	command -v apt-get >/dev/null || die "no apt-get here: install PostgreSQL 13 or later by hand, so that pg_ctl is found"
	local root=()
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || die "installing needs root: run apt-get install postgresql as root"
		root=(sudo)
	fi
	"${root[@]}" apt-get update -qq
	# Keep the package from starting a cluster of its own; tests start theirs.
	"${root[@]}" mkdir -p /etc/postgresql-common
	if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
		echo 'create_main_cluster = false' | "${root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
	fi
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql
}

# bin is the directory of the newest server's binaries.
find_bin() {
	bin=$(find /usr/lib/postgresql/*/bin -name pg_ctl -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
	[ -n "$bin" ] || bin=$(dirname "$(command -v pg_ctl || true)")
	[ -x "$bin/initdb" ] || die "PostgreSQL is not installed: apt-get install postgresql, or run postgres.sh install"
}

# as runs a command as a user that may run a server: PostgreSQL refuses to run as root.
as() {
	if [ "$(id -u)" -ne 0 ]; then "$@"; else setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"; fi
}

prepare_dir() {
	mkdir -p "$dir"
	if [ "$(id -u)" -ne 0 ]; then return; fi
	user=postgres
	id -u "$user" >/dev/null 2>&1 || user=nobody
	chown "$user" "$dir"
	as test -w "$dir" || die "user $user, as whom the server runs because you are root, cannot reach $dir: choose a folder below one that anyone may enter, such as /tmp"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
	local port
	for _ in {1..50}; do
		port=$((20000 + RANDOM % 12000))
		answers "$port" || { echo "$port"; return; }
	done
	die "found no free port: give one"
}

# Commits are as durable as in production: fsync, full_page_writes and synchronous_commit keep their defaults.
settings() {
	cat <<-END
		listen_addresses = '127.0.0.1'
		port = $1
		unix_socket_directories = ''
		max_connections = 400
		shared_buffers = 128MB
		track_activities = on
		logging_collector = off
	END
}

launch() {
	settings "$1" | as tee "$dir/data/postgresql.auto.conf" >/dev/null
	as "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 start >/dev/null 2>&1
}

start() {
	local port=${1:-} tries=1
	find_bin
	prepare_dir
	if [ ! -s "$dir/data/PG_VERSION" ]; then
		as "$bin/initdb" -D "$dir/data" -A trust -U postgres -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 ||
			die "initdb failed: $(tail -n 3 "$dir/initdb.log")"
	fi
	if as "$bin/pg_ctl" -D "$dir/data" status >/dev/null 2>&1; then
		cat "$dir/url"
		return
	fi
	if [ -z "$port" ] && [ -s "$dir/port" ]; then port=$(cat "$dir/port"); fi
	if [ -z "$port" ]; then port=$(free_port) tries=5; fi
	until launch "$port"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "the server does not start on port $port: $(tail -n 5 "$dir/log")"
		port=$(free_port)
	done
	echo "$port" >"$dir/port"
	echo "postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable" | tee "$dir/url"
}

stop() {
	local mode=${1:-fast}
	[ -d "$dir/data" ] || die "there is no server in $dir"
	find_bin
	prepare_dir
	if as "$bin/pg_ctl" -D "$dir/data" status >/dev/null 2>&1; then
		as "$bin/pg_ctl" -D "$dir/data" -m "$mode" -w -t 60 stop >/dev/null || die "the server in $dir does not stop: see $dir/log"
	fi
}

[ $# -ge 1 ] || usage
command=$1
shift
case $command in
install) install_server ;;
start | stop)
	[ $# -ge 1 ] && [ $# -le 2 ] || usage
	if [ "$command" = start ]; then mkdir -p "$1"; fi
	dir=$(cd "$1" 2>/dev/null && pwd) || die "there is no folder $1"
	shift
	"$command" "$@"
	;;
*) usage ;;
esac
