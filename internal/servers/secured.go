package servers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// LoginLasts is how long a login at SecuredKafka.Login is valid before clients must renew it.
const LoginLasts = 1500 * time.Millisecond

// SecuredKafka is a node with authentication and authorization. Clients of Address have all rights.
type SecuredKafka struct {
	*KafkaNode
	Login     string // host:port for a login by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 over TLS (SASL_SSL)
	OpenLogin string // host:port for a login by SCRAM-SHA-512 without TLS (SASL_PLAINTEXT)
	Mutual    string // host:port for clients with a certificate (SSL)
}

// Security configures a SecuredKafka.
type Security struct {
	KeyFile string            // PEM file: the key (PKCS #8), then the certificate
	CAFile  string            // PEM file: trusted CAs for client certificates
	Users   map[string]string // passwords by name; users have no rights without an ACL
}

// OwnSecuredKafka starts a node as OwnKafka does, with secured listeners and Kafka's own authorizer.
func OwnSecuredKafka(tb testing.TB, s Security) *SecuredKafka {
	tb.Helper()
	ports := freePorts(tb, 5)
	var format []string
	plain := `username="broker" password="unused"`
	for _, user := range slices.Sorted(maps.Keys(s.Users)) {
		plain += fmt.Sprintf(` user_%s="%s"`, user, s.Users[user])
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			format = append(format, fmt.Sprintf("--add-scram=%s=[name=%s,password=%s]", mechanism, user, s.Users[user]))
		}
	}
	listeners := fmt.Sprintf("PLAINTEXT://127.0.0.1:%s,LOGIN://127.0.0.1:%s,OPEN://127.0.0.1:%s,MUTUAL://127.0.0.1:%s", ports[0], ports[1], ports[2], ports[3])
	const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	n := newNode(tb, ports[0], []string{
		"controller.quorum.voters=1@127.0.0.1:" + ports[4],
		"listeners=" + listeners + ",CONTROLLER://127.0.0.1:" + ports[4],
		"advertised.listeners=" + listeners,
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,OPEN:SASL_PLAINTEXT,MUTUAL:SSL",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS",
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + s.KeyFile,
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + s.CAFile,
		"listener.name.mutual.ssl.client.auth=required",
		"listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required " + plain + ";",
		"listener.name.login.scram-sha-256.sasl.jaas.config=" + scram,
		"listener.name.login.scram-sha-512.sasl.jaas.config=" + scram,
		"listener.name.open.sasl.enabled.mechanisms=SCRAM-SHA-512",
		"listener.name.open.scram-sha-512.sasl.jaas.config=" + scram,
		fmt.Sprintf("listener.name.login.connections.max.reauth.ms=%d", LoginLasts.Milliseconds()),
	}, format)
	mustRun(tb, n.Start())
	at := func(i int) string { return strings.Replace(n.Address, ports[0], ports[i], 1) }
	return &SecuredKafka{KafkaNode: n, Login: at(1), OpenLogin: at(2), Mutual: at(3)}
}
