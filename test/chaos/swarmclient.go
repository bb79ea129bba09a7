package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// swarmPath is a request about the services, secrets and configs of a Swarm.
var swarmPath = regexp.MustCompile(`^(?:/v[0-9.]+)?/(services|secrets|configs)/([^/]+)(/update)?$`)

// swarmObject is a service, secret or config as the engine describes it.
type swarmObject struct {
	ID   string
	Spec swarmSpec
}

// swarmSpec is what was asked for, as far as it matters and as a text.
type swarmSpec struct {
	Name   string
	Labels map[string]string
	text   string
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *swarmSpec) UnmarshalJSON(data []byte) error {
	type plain swarmSpec
	s.text = string(data)
	return json.Unmarshal(data, (*plain)(s))
}

// swarmStep names the step that a request about such an object is, or nothing. A
// service is started and stopped by the number of its tasks.
func swarmStep(r *http.Request) string {
	match := swarmPath.FindStringSubmatch(r.URL.Path)
	service, last := match[1] == "services", match[2]
	switch {
	case r.Method == http.MethodPost && match[3] != "":
		if tasks(r) > 0 {
			return stepStart
		}
		return stepStop
	case r.Method == http.MethodPost && last == "create" && service:
		return stepCreate
	case r.Method == http.MethodPost && last == "create":
		return stepPutFiles
	case r.Method == http.MethodDelete:
		return stepRemove
	}
	return ""
}

// tasks is how many tasks the service of a request is to have. The request can be
// read again.
func tasks(r *http.Request) int {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var spec struct {
		Mode struct{ Replicated struct{ Replicas int } }
	}
	if err != nil || json.Unmarshal(body, &spec) != nil {
		return 0
	}
	return spec.Mode.Replicated.Replicas
}

// object returns what a request is about, and its labels.
func (c *engineClient) object(ctx context.Context, path string) (what string, labels map[string]string, err error) {
	if match := swarmPath.FindStringSubmatch(path); match != nil {
		var found swarmObject
		err = c.do(ctx, http.MethodGet, "/"+match[1]+"/"+url.PathEscape(match[2]), nil, &found)
		return strings.TrimSuffix(match[1], "s") + " " + found.Spec.Name, found.Spec.Labels, err
	}
	_, rest, found := strings.Cut(path, "/containers/")
	if !found {
		return "", nil, errors.New("the request is about no container")
	}
	id, _, _ := strings.Cut(rest, "/")
	container, err := c.inspect(ctx, id)
	return "container " + container.Name, container.Config.Labels, err
}

// runnersOfSwarm returns the names of runners of which the Swarm has something
// with the label.
func (c *engineClient) runnersOfSwarm(ctx context.Context, label string) ([]string, error) {
	filters, err := json.Marshal(map[string]map[string]bool{"label": {label: true}})
	if err != nil {
		return nil, fmt.Errorf("encode filters: %w", err)
	}
	seen := map[string]bool{}
	var names []string
	for _, kind := range []string{"services", "secrets", "configs"} {
		var found []swarmObject
		if err := c.do(ctx, http.MethodGet, "/"+kind+"?filters="+url.QueryEscape(string(filters)), nil, &found); err != nil {
			return nil, err
		}
		for _, o := range found {
			if name := o.Spec.Labels[labelRunner]; name != "" && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// service returns one service, by id or name.
func (c *engineClient) service(ctx context.Context, ref string) (found swarmObject, err error) {
	err = c.do(ctx, http.MethodGet, "/services/"+url.PathEscape(ref), nil, &found)
	return found, err
}

// createService makes a service that is not the daemon's.
func (c *engineClient) createService(ctx context.Context, name, image string, cmd []string, labels map[string]string, tasks int) (id string, err error) {
	var made struct{ ID string }
	err = c.do(ctx, http.MethodPost, "/services/create", map[string]any{
		"Name": name, "Labels": labels, "Mode": map[string]any{"Replicated": map[string]any{"Replicas": tasks}},
		"TaskTemplate": map[string]any{
			"ContainerSpec": map[string]any{"Image": image, "Command": cmd},
			"Networks":      []any{map[string]any{"Target": "host"}},
		},
	}, &made)
	return made.ID, err
}
