package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"scaler.io/scaler/internal/docker"
)

// benchLabel marks all that the bench and its daemons make in an engine. The
// image has it, and containers inherit it. It is not the one of the tests, whose
// leftovers may be removed in the middle of a run.
const benchLabel = "io.scaler.bench"

// engineTimeout bounds one call to the engine.
const engineTimeout = time.Minute

// engineClient speaks to the engine in the plainest way there is: one request
// a step, over kept connections. It is what the floors are measured with.
type engineClient struct{ http *http.Client }

func newEngineClient(socket string) *engineClient {
	return &engineClient{&http.Client{Timeout: engineTimeout, Transport: &http.Transport{
		MaxIdleConnsPerHost: 16,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// machineSocket is the socket of this machine's engine.
func machineSocket() string {
	if path, found := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); found {
		return path
	}
	return "/var/run/docker.sock"
}

// do makes one request; out may be nil. A status of 400 or above is an error.
func (c *engineClient) do(ctx context.Context, method, path, kind string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request to the engine: %w", err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the engine: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer of the engine: %w", err)
	}
	if resp.StatusCode == http.StatusNotFound && method == http.MethodDelete {
		return nil // which is what was wanted
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: the engine answers %s: %s", method, path, resp.Status, bytes.TrimSpace(data))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("decode answer of the engine: %w", err)
	}
	return nil
}

// ping reports whether the engine answers.
func (c *engineClient) ping(ctx context.Context) error {
	return c.do(ctx, http.MethodGet, "/_ping", "", nil, nil)
}

// version returns the engine's version, empty if it does not answer.
func (c *engineClient) version(ctx context.Context) string {
	var v struct{ Version string }
	if err := c.do(ctx, http.MethodGet, "/version", "", nil, &v); err != nil {
		return ""
	}
	return v.Version
}

// create makes a container.
func (c *engineClient) create(ctx context.Context, name, image, network string) (id string, err error) {
	body, err := json.Marshal(map[string]any{"Image": image, "HostConfig": map[string]any{"NetworkMode": network}})
	if err != nil {
		return "", fmt.Errorf("encode container: %w", err)
	}
	var made struct {
		ID string `json:"Id"`
	}
	err = c.do(ctx, http.MethodPost, "/containers/create?name="+url.QueryEscape(name), "application/json", body, &made)
	return made.ID, err
}

// put copies one file into a container.
func (c *engineClient) put(ctx context.Context, id, path string, data []byte) error {
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	err := tw.WriteHeader(&tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o600, Size: int64(len(data))})
	if err == nil {
		_, err = tw.Write(data)
	}
	if err := errors.Join(err, tw.Close()); err != nil {
		return fmt.Errorf("pack %s: %w", path, err)
	}
	return c.do(ctx, http.MethodPut, "/containers/"+id+"/archive?path=%2F", "application/x-tar", archive.Bytes(), nil)
}

func (c *engineClient) start(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "/containers/"+id+"/start", "", nil, nil)
}

// remove removes a container whatever its state.
func (c *engineClient) remove(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/containers/"+id+"?force=true&v=true", "", nil, nil)
}

// list returns the ids of the containers with the label, in whatever state, or
// only of those that run.
func (c *engineClient) list(ctx context.Context, label string, running bool) (ids []string, err error) {
	filters, err := json.Marshal(map[string][]string{"label": {label}})
	if err != nil {
		return nil, fmt.Errorf("encode filters: %w", err)
	}
	var found []struct {
		ID string `json:"Id"`
	}
	err = c.do(ctx, http.MethodGet, fmt.Sprintf("/containers/json?all=%v&filters=%s", !running, url.QueryEscape(string(filters))), "", nil, &found)
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	return ids, err
}

// timeRemovals begins something by which count containers with the label are
// removed, and returns how long it took until the engine told of the last.
func (c *engineClient) timeRemovals(ctx context.Context, label string, count int, begin func() error) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	removed, err := c.removals(ctx, label)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := begin(); err != nil {
		return 0, err
	}
	for range count {
		select {
		case _, open := <-removed:
			if !open {
				return 0, errors.New("the engine's events have ended")
			}
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return time.Since(began), nil
}

// removals tells of the removal of each container with the label from now on,
// until ctx ends. It returns once the engine has begun to tell.
func (c *engineClient) removals(ctx context.Context, label string) (<-chan struct{}, error) {
	filters, err := json.Marshal(map[string][]string{"label": {label}, "type": {"container"}, "event": {"destroy"}})
	if err != nil {
		return nil, fmt.Errorf("encode filters: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/events?filters="+url.QueryEscape(string(filters)), nil)
	if err != nil {
		return nil, fmt.Errorf("make request to the engine: %w", err)
	}
	stream := &http.Client{Transport: c.http.Transport} // it may take longer than a call
	resp, err := stream.Do(req)
	if err != nil {
		return nil, fmt.Errorf("follow events of the engine: %w", err)
	}
	told := make(chan struct{}, 4096)
	go func() {
		defer func() { _ = resp.Body.Close() }()
		defer close(told)
		for decoder := json.NewDecoder(resp.Body); ; {
			var event json.RawMessage
			if decoder.Decode(&event) != nil {
				return
			}
			told <- struct{}{}
		}
	}()
	return told, nil
}

// address is how this machine is reached.
type address struct {
	ip      string // by containers and by itself
	network string // of the containers
}

// prepare makes the runners' image and finds out how containers reach this
// machine: by the gateway of the default bridge or, where that is elsewhere, on
// the network of the host.
func (b *bench) prepare(ctx context.Context) error {
	adapter, err := docker.New(docker.Config{Instance: b.id})
	if err != nil {
		return err
	}
	defer func() { _ = adapter.Close() }()
	b.host = address{"127.0.0.1", "host"}
	if gateway, err := adapter.Gateway(ctx); err == nil {
		if probe, err := net.Listen("tcp", net.JoinHostPort(gateway, "0")); err == nil {
			_ = probe.Close()
			b.host = address{gateway, "bridge"}
		}
	}
	b.image = "scaler-" + b.id + ":1"
	return adapter.ImportImage(ctx, b.image, b.opts.scaler, []string{"/scaler", "demo-runner"}, map[string]string{benchLabel: b.id})
}

// clear removes all that carries the label of this run. The engine may still be
// making a container for a daemon that is gone: while it does, the image cannot
// be removed, and without the image there can be no other.
func (b *bench) clear(ctx context.Context) (err error) {
	adapter, err := docker.New(docker.Config{Instance: b.id})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, adapter.Close()) }()
	for {
		// A daemon's last requests may still be under way, too.
		err = b.clearContainers(ctx)
		if err == nil {
			err = adapter.RemoveImage(ctx, b.image)
		}
		if err == nil {
			return b.clearContainers(ctx)
		}
		if pause(ctx, lookEvery) != nil {
			return err
		}
	}
}

func (b *bench) clearContainers(ctx context.Context) error {
	ids, err := b.engine.list(ctx, benchLabel+"="+b.id, false)
	errs := []error{err}
	for _, id := range ids {
		errs = append(errs, b.engine.remove(ctx, id))
	}
	return errors.Join(errs...)
}
