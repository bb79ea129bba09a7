package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"scaler.io/scaler/internal/register"
)

// memAPIVersion is the API that the engine in memory speaks, Engine 20.10's.
const memAPIVersion = "1.41"

// versionPrefix is what clients put before a path once they know the version.
var versionPrefix = regexp.MustCompile(`^/v1\.[0-9]+/`)

// routes are as much of the engine's API as the daemon uses with these pools.
// What is not served is answered with 501, so that a new call is seen.
func (e *memEngine) routes() http.Handler {
	api := http.NewServeMux()
	fixed := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, v) }
	}
	api.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", memAPIVersion) })
	api.HandleFunc("GET /version", fixed(map[string]string{"Version": "20.10.24", "ApiVersion": memAPIVersion, "Os": "linux"}))
	api.HandleFunc("GET /images/{name}/json", fixed(map[string]any{"Id": "sha256:0", "RepoTags": []string{memImage}, "Config": map[string]any{}}))
	api.HandleFunc("GET /networks", fixed([]any{}))
	api.HandleFunc("GET /volumes", fixed(map[string]any{"Volumes": []any{}, "Warnings": []string{}}))
	api.HandleFunc("POST /containers/create", e.postCreate)
	api.HandleFunc("GET /containers/json", e.getList)
	api.HandleFunc("GET /events", e.getEvents)
	api.HandleFunc("GET /containers/{id}/json", e.with(func(w http.ResponseWriter, _ *http.Request, c *memContainer) { answer(w, http.StatusOK, c.view()) }))
	api.HandleFunc("GET /containers/{id}/logs", e.with(func(http.ResponseWriter, *http.Request, *memContainer) {}))
	api.HandleFunc("PUT /containers/{id}/archive", e.with(putArchive))
	api.HandleFunc("POST /containers/{id}/start", e.with(func(w http.ResponseWriter, _ *http.Request, c *memContainer) {
		if c.status != "running" {
			e.start(c)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	api.HandleFunc("POST /containers/{id}/kill", e.with(func(w http.ResponseWriter, _ *http.Request, c *memContainer) {
		if c.end == nil {
			refuse(w, http.StatusConflict, errors.New("it is not running"))
			return
		}
		c.end()
		w.WriteHeader(http.StatusNoContent)
	}))
	api.HandleFunc("DELETE /containers/{id}", e.with(e.deleteContainer))
	api.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotImplemented, fmt.Errorf("the engine in memory does not serve %s %s", r.Method, r.URL.Path))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = versionPrefix.ReplaceAllString(r.URL.Path, "/")
		api.ServeHTTP(w, r)
	})
}

// with finds the container of a request and holds the engine while it is
// handled.
func (e *memEngine) with(handle func(http.ResponseWriter, *http.Request, *memContainer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		c := e.find(r.PathValue("id"))
		if c == nil {
			refuse(w, http.StatusNotFound, errors.New("No such container: "+r.PathValue("id")))
			return
		}
		handle(w, r, c)
	}
}

func (e *memEngine) postCreate(w http.ResponseWriter, r *http.Request) {
	var config struct{ Labels map[string]string }
	if err := json.NewDecoder(r.Body).Decode(&config); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	c, err := e.create(r.URL.Query().Get("name"), config.Labels)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, http.StatusCreated, map[string]any{"Id": c.id, "Warnings": []string{}})
}

// getList filters by labels alone. The filter is a map of maps or of lists,
// depending on the client's age.
func (e *memEngine) getList(w http.ResponseWriter, r *http.Request) {
	var filters struct{ Label map[string]bool }
	if text := r.URL.Query().Get("filters"); text != "" {
		if err := json.Unmarshal([]byte(text), &filters); err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]map[string]any, 0, len(e.containers))
	for _, c := range e.containers {
		if c.carries(filters.Label) {
			list = append(list, map[string]any{"Id": c.id, "Names": []string{"/" + c.name}, "Image": memImage, "State": c.status, "Status": c.statusText(), "Labels": c.labels})
		}
	}
	answer(w, http.StatusOK, list)
}

// carries reports whether the container has all the labels, each with or
// without a value.
func (c *memContainer) carries(labels map[string]bool) bool {
	for label := range labels {
		name, value, given := strings.Cut(label, "=")
		if has, found := c.labels[name]; !found || given && has != value {
			return false
		}
	}
	return true
}

func (c *memContainer) view() map[string]any {
	return map[string]any{
		"Id": c.id, "Name": "/" + c.name, "Image": "sha256:0",
		"State":  map[string]any{"Status": c.status, "Running": c.status == "running", "ExitCode": c.code},
		"Config": map[string]any{"Labels": c.labels, "Image": memImage}, "HostConfig": map[string]any{}, "Mounts": []any{},
	}
}

func (e *memEngine) deleteContainer(w http.ResponseWriter, r *http.Request, c *memContainer) {
	force, _ := strconv.ParseBool(r.URL.Query().Get("force"))
	if c.status == "running" && !force {
		refuse(w, http.StatusConflict, errors.New("you cannot remove a running container"))
		return
	}
	if err := e.remove(c); err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// putArchive keeps the runner's .runner file, the only one that is read.
func putArchive(w http.ResponseWriter, r *http.Request, c *memContainer) {
	for archive := tar.NewReader(r.Body); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(archive)
		}
		if err == nil && path.Base(header.Name) == register.DotRunnerName {
			err = os.WriteFile(filepath.Join(c.dir, register.DotRunnerName), data, 0o600)
		}
		if err != nil {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
	}
}

// getEvents tells what happens from now on to containers.
func (e *memEngine) getEvents(w http.ResponseWriter, r *http.Request) {
	follower := make(chan memEvent, 4096)
	e.mu.Lock()
	e.events[follower] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.events, follower)
	}()
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w)
	for {
		_ = flush.Flush() // the client may be gone, which the context tells
		select {
		case ev := <-follower:
			_ = json.NewEncoder(w).Encode(map[string]any{
				"Type": "container", "Action": ev.action, "time": ev.at.Unix(), "timeNano": ev.at.UnixNano(),
				"Actor": map[string]any{"ID": ev.id, "Attributes": ev.labels},
			})
		case <-r.Context().Done():
			return
		}
	}
}

func refuse(w http.ResponseWriter, status int, err error) {
	answer(w, status, map[string]string{"message": err.Error()})
}

// answer sends JSON. The client being gone is no concern here.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
