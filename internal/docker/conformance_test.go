package docker

import (
	"context"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"scaler.io/scaler/internal/enginetest/conformance"
)

func TestConformance(t *testing.T) { conform(t, newRig(t), direct) }

// direct is the way to a wire's socket without anything between.
func direct(_ *testing.T, w *wire) Config { return Config{Host: "unix://" + w.socket} }

// conform runs the suite by a way to the engine: what of a Config leads to the
// socket of a wire. All that is no wire of its own goes by one that is never cut.
func conform(t *testing.T, r *rig, way func(*testing.T, *wire) Config) {
	t.Helper()
	conformant := Options{Image: r.image("plain"), Pull: PullNever, Command: []string{"conform"}}
	pools := map[string]Options{
		conformance.Pool:       conformant,
		conformance.BrokenPool: {Image: r.repo + ":none", Pull: PullNever},
	}
	adapter := func(t *testing.T, w *wire, instance string, timeout time.Duration) *Engine {
		t.Helper()
		cfg := way(t, w)
		cfg.Instance, cfg.Timeout, cfg.Pools = instance, timeout, pools
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	whole := newWire(t, r.base.client.DaemonHost())
	conformance.Run(t, conformance.Rig{
		Prefix:  r.instance + "-",
		Adapter: func(t *testing.T) conformance.Engine { return adapter(t, whole, r.instance, 0) },
		Other:   func(t *testing.T) conformance.Engine { return adapter(t, whole, r.instance+"-other", 0) },
		Vanish: func(t *testing.T, id string) {
			if err := r.base.client.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}); err != nil {
				t.Fatal(err)
			}
		},
		Cut: func(t *testing.T) (e conformance.Engine, cut, mend func()) {
			w := newWire(t, r.base.client.DaemonHost())
			return adapter(t, w, r.instance, 5*time.Second), w.cut, w.mend
		},
		Patience: time.Minute,
	})
}

// wire leads from a socket of its own to the engine, and can be cut.
type wire struct {
	socket string
	engine *url.URL

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
}

func newWire(t *testing.T, engine string) *wire {
	t.Helper()
	to, err := url.Parse(engine)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{socket: socketPath(t), engine: to, open: make(map[net.Conn]bool)}
	w.mend()
	t.Cleanup(w.cut)
	return w
}

// mend has the wire lead to the engine again.
func (w *wire) mend() {
	listener, err := net.Listen("unix", w.socket)
	if err != nil {
		panic(err) // the directory is the test's own
	}
	w.mu.Lock()
	w.listener = listener
	w.mu.Unlock()
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go w.lead(near)
		}
	}()
}

// lead copies both ways until one end closes.
func (w *wire) lead(near net.Conn) {
	network, address := "unix", w.engine.Path
	if w.engine.Scheme != "unix" {
		network, address = "tcp", w.engine.Host
	}
	far, err := (&net.Dialer{}).DialContext(context.Background(), network, address)
	if err != nil {
		_ = near.Close()
		return
	}
	w.mu.Lock()
	w.open[near], w.open[far] = true, true
	w.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		})
	}
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, near)
	delete(w.open, far)
}

// cut closes all that is open, and opens nothing any more.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.listener.Close()
	_ = os.Remove(w.socket)
	for c := range w.open {
		_ = c.Close()
	}
}
