package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"

	"scaler.io/scaler/internal/doctor"
)

// checkListeners says whether the daemon could open its addresses. Those of a
// running daemon are in use, as they should be.
func (e *exam) checkListeners(ctx context.Context, r *doctor.Report) {
	running := e.daemonRuns(ctx)
	for _, l := range e.listeners() {
		if running {
			r.OK(l.key, "%s is left to the running daemon", l.address)
			continue
		}
		taken, err := new(net.ListenConfig).Listen(ctx, "tcp", l.address)
		switch {
		case err == nil:
			_ = taken.Close() // it was opened to be closed
			r.OK(l.key, "%s is free", l.address)
		case errors.Is(err, syscall.EADDRINUSE):
			r.Fail(l.key, l.address+" is in use by another program", "ss -ltnp shows which one; end it, or choose another port in "+l.key)
		case errors.Is(err, fs.ErrPermission):
			r.Fail(l.key, "this user may not listen on "+l.address, "choose a port from 1024 on in "+l.key)
		default:
			r.Fail(l.key, err.Error(), "write an address of this host in "+l.key+", or none before the port")
		}
	}
}

// listener is an address that the daemon opens.
type listener struct{ key, address string }

func (e *exam) listeners() (list []listener) {
	if e.cfg.Gateway != nil {
		list = append(list, listener{"gateway.listen", e.cfg.Gateway.Listen})
	}
	if e.cfg.HTTP != nil {
		list = append(list, listener{"http.listen", e.cfg.HTTP.Listen})
	}
	if e.cfg.Webhook != nil {
		list = append(list, listener{"webhook.listen", e.cfg.Webhook.Listen})
	}
	return list
}
