package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// gate is the socket by which the daemon reaches the engine. It can be shut,
// which is what an engine that restarts looks like to its clients: nobody
// listens, and all connections are cut.
type gate struct {
	path    string
	handler http.Handler

	mu     sync.Mutex
	server *http.Server // nil while shut
}

// open lets clients in.
func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server != nil {
		return nil
	}
	if err := os.Remove(g.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open the engine's gate: %w", err)
	}
	ln, err := net.Listen("unix", g.path)
	if err != nil {
		return fmt.Errorf("open the engine's gate: %w", err)
	}
	server := quietServer(g.handler)
	g.server = server
	go func() { _ = server.Serve(ln) }()
	return nil
}

// shut cuts all connections. What was begun may still be carried out.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server != nil {
		_ = g.server.Close()
		g.server = nil
	}
}

// quietServer serves a handler; that connections are cut is what it is for.
func quietServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}
