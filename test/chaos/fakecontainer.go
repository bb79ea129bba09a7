package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"scaler.io/scaler/internal/giteatest/runner"
)

// Exit codes of a container that was killed.
const exitKilled = 137

// idleCommand is the entrypoint of a container that only exists.
const idleCommand = "idle"

// errKilled is what a killed runner gets in place of the network.
var errKilled = errors.New("the container was killed")

// fakeContainer is a container whose process is a goroutine. Its fields are
// guarded by the engine's mutex.
type fakeContainer struct {
	// lock has an element while the container is being started. As in the
	// real engine, all but a listing waits for that.
	lock chan struct{}

	id, name string
	created  time.Time
	config   containerConfig
	root     string // directory that is its root file system
	status   string // created, running or exited
	exitCode int
	started  time.Time
	finished time.Time
	output   *output

	term context.CancelFunc // SIGTERM
	kill context.CancelFunc // SIGKILL; nil while it does not run
}

// run starts the container's process; exited is called once with its exit
// code. A container that was killed has exited at once: its goroutine is cut
// off from the network and left to itself.
func (c *fakeContainer) run(interval time.Duration, exited func(code int)) {
	alive, kill := context.WithCancel(context.Background())
	ctx, term := context.WithCancel(alive)
	c.term, c.kill = term, kill
	opts := runner.Options{
		Dir: filepath.Join(c.root, "data"), FetchInterval: interval,
		Logger: slog.New(slog.NewTextHandler(c.output, nil)),
		Client: &http.Client{Transport: cutOff{alive: alive, told: ctx}},
	}
	ended := make(chan int, 1)
	go func() {
		if len(c.config.Entrypoint) > 0 && c.config.Entrypoint[0] == idleCommand {
			<-ctx.Done()
			ended <- runner.ExitOK
			return
		}
		ended <- runner.Run(ctx, opts)
	}()
	go func() {
		defer term()
		select {
		case code := <-ended:
			exited(code)
		case <-alive.Done():
			exited(exitKilled)
		}
	}()
}

// cutOff is the network of a container: it ends with it. A request for a job
// ends at SIGTERM already, with the answer that may be under way: what the real
// runner does, and the demo's does not.
type cutOff struct{ alive, told context.Context }

// RoundTrip implements http.RoundTripper. It reads the answer to its end, so
// that nothing of it is under way when it returns.
func (t cutOff) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.alive.Err() != nil {
		return nil, errKilled
	}
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	end := t.alive
	if giteaCall(req) == "FetchTask" {
		end = t.told // which ends with alive, too
	}
	defer context.AfterFunc(end, cancel)()
	resp, err := http.DefaultTransport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// output is what a container has written, in the engine's own framing.
type output struct {
	mu    sync.Mutex
	lines [][]byte
}

// Write implements io.Writer. Each write is a line.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, bytes.Clone(p))
	return len(p), nil
}

// tail returns the last n lines.
func (o *output) tail(n int) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines[max(len(o.lines)-n, 0):]
}

// containerConfig is what is kept of a request to create a container.
type containerConfig struct {
	Image      string
	Entrypoint []string
	Cmd        []string
	Env        []string
	User       string
	Labels     map[string]string
}

// matches reports whether the container has all the labels, "name" or
// "name=value".
func (c *fakeContainer) matches(labels map[string]bool) bool {
	for want := range labels {
		if !hasLabel(c.config.Labels, want) {
			return false
		}
	}
	return true
}

func hasLabel(labels map[string]string, want string) bool {
	for name, value := range maps.All(labels) {
		if want == name || want == name+"="+value {
			return true
		}
	}
	return false
}

// statusText words the state as the engine's list does.
func (c *fakeContainer) statusText() string {
	switch c.status {
	case "running":
		return "Up 2 seconds"
	case "exited":
		return fmt.Sprintf("Exited (%d) 1 second ago", c.exitCode)
	}
	return "Created"
}
