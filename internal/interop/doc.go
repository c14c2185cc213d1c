// Package interop tests Troupe with foreign clients: other clients read Troupe's topics as CloudEvents, and Troupe
// handles the messages of other clients, events or not.
package interop
