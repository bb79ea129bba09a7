package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// The labels by which the daemon knows its containers.
const (
	labelInstance = "io.scaler.instance"
	labelPool     = "io.scaler.pool"
	labelRunner   = "io.scaler.runner"

	labelJobInstance = "io.scaler.job.instance"
	labelJobRunner   = "io.scaler.job.runner"
)

// testLabel marks all that the harness and its daemons make in an engine.
const testLabel = "io.scaler.test"

// engineTimeout bounds one call of the harness to the engine.
const engineTimeout = 30 * time.Second

// engineClient is the harness's own way to an engine, past the gate.
type engineClient struct{ http *http.Client }

func newEngineClient(socket string) *engineClient {
	return &engineClient{&http.Client{Timeout: engineTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// engineContainer is a container as the engine describes it.
type engineContainer struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Status    string
		StartedAt string
	}
	Config struct{ Labels map[string]string }
}

// do makes one request; in and out may be nil. A status of 400 or above is an
// error.
func (c *engineClient) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request to the engine: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, body)
	if err != nil {
		return fmt.Errorf("make request to the engine: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the engine: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer of the engine: %w", err)
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
	return c.do(ctx, http.MethodGet, "/_ping", nil, nil)
}

// inspect returns one container, by id or name.
func (c *engineClient) inspect(ctx context.Context, ref string) (found engineContainer, err error) {
	err = c.do(ctx, http.MethodGet, "/containers/"+url.PathEscape(ref)+"/json", nil, &found)
	return found, err
}

// listed is a container as a listing describes it.
type listed struct {
	ID     string `json:"Id"`
	Labels map[string]string
}

// list returns all containers with the label, in whatever state.
func (c *engineClient) list(ctx context.Context, label string) (found []listed, err error) {
	filters, err := json.Marshal(map[string]map[string]bool{"label": {label: true}})
	if err != nil {
		return nil, fmt.Errorf("encode filters: %w", err)
	}
	err = c.do(ctx, http.MethodGet, "/containers/json?all=true&filters="+url.QueryEscape(string(filters)), nil, &found)
	return found, err
}

// create makes a container that is not the daemon's, and starts it if told to.
func (c *engineClient) create(ctx context.Context, name, image string, cmd []string, labels map[string]string, start bool) (id string, err error) {
	var made struct {
		ID string `json:"Id"`
	}
	err = c.do(ctx, http.MethodPost, "/containers/create?name="+url.QueryEscape(name), map[string]any{
		"Image": image, "Entrypoint": cmd[:1], "Cmd": cmd[1:], "Labels": labels, "HostConfig": map[string]any{"NetworkMode": "host"},
	}, &made)
	if err == nil && start {
		err = c.do(ctx, http.MethodPost, "/containers/"+made.ID+"/start", nil, nil)
	}
	return made.ID, err
}

// remove removes a container whatever its state.
func (c *engineClient) remove(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/containers/"+id+"?force=true&v=true", nil, nil)
}
