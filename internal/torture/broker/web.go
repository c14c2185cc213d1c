package broker

import (
	"io"
	"net"
	"time"
)

// refusal is the answer of a web server to a request that is not HTTP.
const refusal = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request"

// ServeWeb answers like a web server at address until stop. It returns the address with the port.
func ServeWeb(address string) (at string, stop func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil { // stop was called
				return
			}
			go refuse(c)
		}
	}()
	return l.Addr().String(), func() { _ = l.Close() }, nil
}

// refuse refuses the first request of c.
func refuse(c net.Conn) {
	defer func() { _ = c.Close() }() // the other end may have closed the connection
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return
	}
	_, _ = io.WriteString(c, refusal)
	_, _ = io.Copy(io.Discard, c) // unread bytes would reset the connection before the answer arrives
}
