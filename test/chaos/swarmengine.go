package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"

	"scaler.io/scaler/internal/swarmtest"
)

// swarmBridge is a network that an engine in a Swarm makes.
const swarmBridge = "docker_gwbridge"

// swarmEngine is a Swarm of one node: an engine of the harness's own, on its
// loopback. It is cut off in place of being restarted, since an engine in a Swarm
// ends its containers with itself.
type swarmEngine struct {
	*dockerEngine
	unlock  func()
	bridged bool // the bridge was there before
}

// newSwarmEngine starts the engine and makes the Swarm, of which there is one at
// a time on a machine.
func newSwarmEngine(ctx context.Context, dir, id, binary string) (*swarmEngine, error) {
	unlock, err := swarmtest.Lock(ctx)
	if err != nil {
		return nil, err
	}
	_, missing := net.InterfaceByName(swarmBridge)
	e := &swarmEngine{dockerEngine: &dockerEngine{refs: imagesOf(id)}, unlock: unlock, bridged: missing == nil}
	own, err := startDockerd(ctx, dir, noRestore)
	if err == nil {
		e.own, e.path = own, own.socket()
		err = e.init(ctx)
	}
	if err == nil {
		err = e.dockerEngine.open(ctx, id, binary)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a Swarm: %w", err), e.close(ctx))
	}
	return e, nil
}

// init makes the engine the manager of a Swarm that nobody else can join.
func (e *swarmEngine) init(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	return newEngineClient(e.path).do(ctx, http.MethodPost, "/swarm/init", map[string]string{"ListenAddr": address, "AdvertiseAddr": address}, nil)
}

func (e *swarmEngine) swarm() bool { return true }

// restart does nothing.
func (e *swarmEngine) restart(context.Context, bool) error { return nil }

// close leaves the Swarm, which ends its containers, and ends the engine.
func (e *swarmEngine) close(ctx context.Context) error {
	defer e.unlock()
	if e.own == nil {
		return nil
	}
	left := newEngineClient(e.path).do(ctx, http.MethodPost, "/swarm/leave?force=true", nil, nil)
	err := errors.Join(left, e.dockerEngine.close(ctx))
	if !e.bridged {
		_ = exec.Command("ip", "link", "delete", swarmBridge).Run() // it may not have come to be
	}
	return err
}
