package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"

	"scaler.io/scaler/internal/docker"
)

// defaultSocket is where an engine usually listens.
const defaultSocket = "/var/run/docker.sock"

// dockerEngine is a real Docker Engine: one that is the harness's own, and can
// be restarted, or else the one of this machine. The runners' image is made
// from the binary under test.
type dockerEngine struct {
	*httputil.ReverseProxy
	path    string
	refs    []string
	own     *dockerd // nil if it is the machine's
	adapter *docker.Engine
}

// newDockerEngine brings an engine up. Why it cannot be the harness's own is
// told to note.
func newDockerEngine(ctx context.Context, dir, id, binary string, note func(string)) (*dockerEngine, error) {
	e := &dockerEngine{refs: imagesOf(id)}
	own, err := startDockerd(ctx, dir, liveRestore)
	if err == nil {
		e.own, e.path = own, own.socket()
	} else {
		e.path = machineSocket()
		note(fmt.Sprintf("no engine of its own (%v), so the one at %s is used, and cut off in place of being restarted", err, e.path))
	}
	if err := e.open(ctx, id, binary); err != nil {
		return nil, errors.Join(err, e.close(ctx))
	}
	return e, nil
}

// open leads to the engine, and gives it the runners' images.
func (e *dockerEngine) open(ctx context.Context, id, binary string) (err error) {
	e.ReverseProxy = proxyTo(e.path)
	e.adapter, err = docker.New(docker.Config{Host: "unix://" + e.path, Instance: id})
	for _, ref := range e.refs {
		if err == nil {
			err = e.adapter.ImportImage(ctx, ref, binary, []string{"/scaler", "demo-runner"}, map[string]string{testLabel: id})
		}
	}
	return err
}

// imagesOf names the images of a run.
func imagesOf(id string) []string { return []string{"scaler-" + id + ":1", "scaler-" + id + ":2"} }

// machineSocket is the socket of this machine's engine.
func machineSocket() string {
	if path, found := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); found {
		return path
	}
	return defaultSocket
}

// proxyTo passes requests on to an engine. A request that the engine does not
// answer gets no answer either.
func proxyTo(socket string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "engine"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}},
		FlushInterval: -1, // events are to come at once
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}

func (e *dockerEngine) socket() string { return e.path }
func (e *dockerEngine) swarm() bool    { return false }
func (e *dockerEngine) image() string  { return e.refs[0] }

// images are two imports of the same binary.
func (e *dockerEngine) images() []string { return e.refs }

// idle is a command of the binary under test that runs until it is told to
// stop.
func (e *dockerEngine) idle() []string {
	return []string{"/scaler", "fake-gitea", "--listen", "127.0.0.1:0", "--registration-token", "none", "--api-token", "none"}
}

// restart restarts the engine if it is the harness's own.
func (e *dockerEngine) restart(ctx context.Context, kill bool) error {
	if e.own == nil {
		return nil
	}
	return e.own.restart(ctx, kill)
}

// close ends the engine if it is the harness's own, with all that it has, and else
// removes the images.
func (e *dockerEngine) close(ctx context.Context) error {
	var errs []error
	if e.adapter != nil {
		for _, ref := range e.refs {
			if e.own == nil {
				errs = append(errs, e.adapter.RemoveImage(ctx, ref))
			}
		}
		errs = append(errs, e.adapter.Close())
	}
	if e.own != nil {
		errs = append(errs, e.own.close())
	}
	return errors.Join(errs...)
}
