// Package server is the daemon's control API: HTTP with JSON over a Unix
// socket, and the client that the commands use.
//
// The invariant that it protects: only the daemon's own user and root can
// reach the API, since some of its answers hold runners' tokens. So the
// socket has mode 0600 from the moment that it exists, and a socket or file of
// somebody else is never taken over.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"scaler.io/scaler/internal/plan"
)

// daemon is the daemon as the API sees it. Its methods may be called
// concurrently; only Preview and Reap may take their
// time.
type daemon interface {
	// Status returns the state after the last cycle, runners with history.
	Status() plan.Status
	// Preview returns what a cycle would do now. Its ctx has a deadline.
	Preview(ctx context.Context) (plan.Plan, error)
	// DotRunner returns the .runner file of a runner, which holds its token.
	// The error wraps plan.ErrNotFound if there is no such runner or if it has
	// not been registered yet.
	DotRunner(name string) ([]byte, error)
	// Reap looks for what has nobody, or nothing, behind it, and unless it is a
	// dry run clears away what is due. Its ctx has a deadline.
	Reap(ctx context.Context, dryRun bool) ([]plan.Finding, error)
	// Trigger asks for a cycle at once.
	Trigger()
}

// Bounds of a request on the server's side.
const (
	headerTimeout   = 5 * time.Second
	readTimeout     = 10 * time.Second
	previewTimeout  = 30 * time.Second
	writeTimeout    = previewTimeout + 10*time.Second
	idleTimeout     = time.Minute
	shutdownTimeout = 2 * time.Second
	maxHeader       = 16 << 10
)

// Server serves the API of one daemon.
type Server struct {
	source  daemon
	log     *slog.Logger
	backup  backupFunc  // nil if there is nothing to back up
	tokens  tokenKeeper // nil if there is no gateway
	audit   auditFunc   // nil if there is none
	reload  reloadFunc  // nil if the configuration stays as it is
	explain explainFunc // nil if nobody knows
	// What follows is nil if there is none.
	operator operator
	journal  eventJournal
	onlooker onlooker
	corpses  corpseKeeper
}

// New returns a Server that is to be run by Serve.
func New(source daemon, log *slog.Logger, options ...Option) *Server {
	s := &Server{source: source, log: log}
	for _, o := range options {
		o(s)
	}
	return s
}

// Serve answers requests until ctx ends, then closes the listener, which
// removes its socket, and gives the requests under way two seconds. It
// returns nil after ctx has ended, and the error of the listener before.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	hs := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(ln) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve control socket: %w", err), hs.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := hs.Shutdown(grace); err != nil {
		s.log.Debug("control requests cut off", "err", err)
		hs.Close() // its error would be that of a connection being cut
	}
	<-served // http.ErrServerClosed
	return nil
}
