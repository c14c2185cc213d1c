#!/usr/bin/env bash
# Runs a node of a real Apache Kafka on loopback, for tests: no container, no build, 43 MB of published jars.
#
#   kafka.sh install            fetches the jars, once, with Maven
#   kafka.sh start DIR [PORT]   starts the node of DIR unless it runs, and prints its address when it answers;
#                               PORT defaults to the last port of DIR, or 9092
#   kafka.sh stop DIR           stops the node, and keeps its data
#
# DIR contains the data and, while the node runs, the files address (host:port), pid and kafka.log. A killed node, even
# with kill -9, can be started again on its DIR. Before the first start, DIR may contain these files:
#   more.properties   more lines of server.properties, which replace those of this script: other listeners, users and
#                     certificates, or the settings of a cluster. A listener must use PORT
#   format            more arguments, each on a line, for formatting the data: --cluster-id=ID, --add-scram=USER
#
# TROUPE_KAFKA_HOME            directory of the jars; defaults to ${XDG_CACHE_HOME:-~/.cache}/troupe/kafka-4.1.1
# TROUPE_KAFKA_ADVERTISED      host:port of a proxy: the node gets a second listener, PROXIED, with this advertised address.
#                              The proxy connects to the address in DIR/proxied. The value must stay the same.
# JAVA_HOME                    Java's directory; defaults to the java on the path
set -euo pipefail

version=4.1.1
home=${TROUPE_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/troupe/kafka-$version}

fail() {
	echo "kafka.sh: $*" >&2
	exit 1
}

java_command() {
	local java=java major
	[[ -z ${JAVA_HOME:-} ]] || java=$JAVA_HOME/bin/java
	command -v "$java" >/dev/null ||
		fail "java is missing: install a Java runtime 17 or newer (Debian: apt-get install default-jre-headless), or set JAVA_HOME"
	major=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)
	[[ ${major:-0} -ge 17 ]] || fail "$java is Java ${major:-of an unknown version}: Kafka $version needs a runtime 17 or newer"
	echo "$java"
}

install_jars() {
	[[ -e $home/lib/kafka_2.13-$version.jar ]] && return
	command -v mvn >/dev/null ||
		fail "mvn is missing, which fetches Kafka's jars: install Maven (Debian: apt-get install maven), or set TROUPE_KAFKA_HOME to a folder whose lib/ has them"
	echo "kafka.sh: fetching Apache Kafka $version into $home" >&2
	mkdir -p "$home"
	installing=$(mktemp -d "$home/install.XXXXXX")
	trap 'rm -rf "$installing"' EXIT # also where it fails
	cat >"$installing/pom.xml" <<-POM
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		  <modelVersion>4.0.0</modelVersion>
		  <groupId>troupe</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
		  <dependencies>
		    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
		    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
		    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.24.3</version></dependency>
		    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-1.2-api</artifactId><version>2.24.3</version></dependency>
		  </dependencies>
		</project>
	POM
	mvn -q -B -Dstyle.color=never -f "$installing/pom.xml" dependency:copy-dependencies -DoutputDirectory="$installing/lib" -DincludeScope=runtime >&2 ||
		fail "Maven could not fetch Kafka's jars: see above; it needs a repository, https://repo.maven.apache.org or a mirror in ~/.m2/settings.xml"
	rm -rf "$home/lib"
	mv "$installing/lib" "$home/lib" # at once: half of the jars are none
	rm -rf "$installing"
	trap - EXIT
}

# running prints the pid of the node of a directory, if the node runs.
running() {
	local pid
	pid=$(cat "$1/pid" 2>/dev/null) && [[ $(ps -p "$pid" -o args= 2>/dev/null) == *" kafka.Kafka $1/server.properties"* ]] && echo "$pid"
}

answers() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

free_port() {
	local port
	while port=$((20000 + RANDOM % 12000)); answers "127.0.0.1:$port"; do :; done
	echo "$port"
}

# remembered prints the port that a directory keeps, and chooses a port the first time.
remembered() {
	[[ -e $1/$2.port ]] || free_port >"$1/$2.port"
	cat "$1/$2.port"
}

configure() {
	local dir=$1 port=$2 controller proxied
	controller=$(remembered "$dir" controller)
	local listeners="PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller" advertised="PLAINTEXT://127.0.0.1:$port"
	rm -f "$dir/proxied"
	if [[ -n ${TROUPE_KAFKA_ADVERTISED:-} ]]; then
		proxied=$(remembered "$dir" proxied)
		listeners+=",PROXIED://127.0.0.1:$proxied"
		advertised+=",PROXIED://$TROUPE_KAFKA_ADVERTISED"
		echo "127.0.0.1:$proxied" >"$dir/proxied"
	fi
	# A single replica of everything. The short session lets a killed node back in after 3 s instead of 12.
	cat >"$dir/server.properties" <<-PROPERTIES
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$controller
		controller.listener.names=CONTROLLER
		inter.broker.listener.name=PLAINTEXT
		listeners=$listeners
		advertised.listeners=$advertised
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
		log.dirs=$dir/data
		auto.create.topics.enable=false
		default.replication.factor=1
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=1
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		transaction.state.log.num.partitions=1
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		share.coordinator.state.topic.num.partitions=1
		group.initial.rebalance.delay.ms=0
		broker.session.timeout.ms=1500
		broker.heartbeat.interval.ms=300
	PROPERTIES
	[[ ! -e $dir/more.properties ]] || cat "$dir/more.properties" >>"$dir/server.properties"
	cat >"$dir/log4j2.xml" <<-XML
		<Configuration status="WARN"><Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
		<Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers></Configuration>
	XML
}

start() {
	local dir=$1 port=${2:-} pid java
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	for _ in {1..50}; do # one that was just killed may take a moment to be gone
		pid=$(running "$dir") || break
		answers "$(cat "$dir/address" 2>/dev/null)" && break
		sleep 0.1
	done
	if pid=$(running "$dir"); then
		[[ -z $port || $(cat "$dir/address") == "127.0.0.1:$port" ]] ||
			fail "the node of $dir runs already, at $(cat "$dir/address"), pid $pid: stop it first: kafka.sh stop $dir"
		echo "kafka.sh: the node of $dir is already running, pid $pid" >&2
		cat "$dir/address"
		return
	fi
	java=$(java_command)
	install_jars
	if [[ -z $port ]]; then
		port=9092
		[[ ! -e $dir/address ]] || port=$(sed 's/.*://' "$dir/address")
	fi
	! answers "127.0.0.1:$port" || fail "something answers at 127.0.0.1:$port already: give another port: kafka.sh start $dir PORT"
	configure "$dir" "$port"
	local run=("$java" -Xms256m -Xmx512m -XX:+UseSerialGC "-Dlog4j2.configurationFile=file:$dir/log4j2.xml" -cp "$home/lib/*")
	if [[ ! -e $dir/data/meta.properties ]]; then
		local format more
		format=(format "--cluster-id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =)" -c "$dir/server.properties")
		while read -r more; do format+=("$more"); done < <(cat "$dir/format" 2>/dev/null)
		"${run[@]}" kafka.tools.StorageTool "${format[@]}" >"$dir/kafka.log" 2>&1 ||
			fail "could not prepare $dir/data: $(tail -5 "$dir/kafka.log")"
	fi
	local detach=(nohup)
	! command -v setsid >/dev/null || detach=(setsid nohup) # out of reach of a Ctrl-C
	"${detach[@]}" "${run[@]}" kafka.Kafka "$dir/server.properties" >"$dir/kafka.log" 2>&1 </dev/null &
	pid=$!
	echo "$pid" >"$dir/pid"
	echo "127.0.0.1:$port" >"$dir/address"
	for _ in {1..1800}; do
		kill -0 "$pid" 2>/dev/null || fail "Kafka ended: $(tail -20 "$dir/kafka.log")"
		if grep -q "Kafka Server started" "$dir/kafka.log" && answers "127.0.0.1:$port"; then
			echo "127.0.0.1:$port"
			return
		fi
		sleep 0.1
	done
	fail "Kafka did not answer within three minutes: see $dir/kafka.log"
}

stop() {
	local dir pid
	dir=$(cd "$1" 2>/dev/null && pwd) || fail "$1 is no folder"
	pid=$(running "$dir") || return 0
	kill "$pid"
	for _ in {1..200}; do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -9 "$pid"
}

case ${1:-} in
install) java_command >/dev/null && install_jars ;;
start) [[ $# -ge 2 ]] || fail "usage: kafka.sh start DIR [PORT]"; start "${@:2}" ;;
stop) [[ $# -eq 2 ]] || fail "usage: kafka.sh stop DIR"; stop "$2" ;;
*) fail "usage: kafka.sh install | start DIR [PORT] | stop DIR" ;;
esac
