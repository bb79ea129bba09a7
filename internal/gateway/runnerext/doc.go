// Package runnerext has the messages of the Deregister call that is proposed
// for Gitea's runner protocol, in Go. They are in the protocol's own package,
// runner.v1, so that a runner that speaks the proposal is understood. Once
// Gitea's module has messages of these names, this package has to go: a program
// cannot hold both.
package runnerext

//go:generate go run ./gen
