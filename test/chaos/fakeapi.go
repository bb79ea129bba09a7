package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// fakeVersion is the engine that the fake one is modelled on.
const (
	fakeVersion    = "20.10.24"
	fakeAPIVersion = "1.41"
)

// versionPrefix is what clients put before a path once they know the version.
var versionPrefix = regexp.MustCompile(`^/v1\.[0-9]+/`)

// routes builds the API. What is not served is answered with 501, so that a
// new call of the adapter is seen rather than taken for a missing object.
func (e *fakeEngine) routes() *http.ServeMux {
	api := http.NewServeMux()
	api.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", fakeAPIVersion) })
	api.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"Version": fakeVersion, "ApiVersion": fakeAPIVersion, "MinAPIVersion": "1.12", "Os": "linux"})
	})
	api.HandleFunc("GET /images/{name}/json", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if !slices.Contains(e.images(), name) {
			refuse(w, http.StatusNotFound, errors.New("No such image: "+name))
			return
		}
		answer(w, http.StatusOK, map[string]any{"Id": imageID(name), "RepoTags": []string{name}, "Config": map[string]any{}})
	})
	none := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, v) }
	}
	api.HandleFunc("GET /networks", none([]any{}))
	api.HandleFunc("GET /volumes", none(map[string]any{"Volumes": []any{}, "Warnings": []string{}}))
	api.HandleFunc("POST /containers/create", e.postCreate)
	api.HandleFunc("GET /containers/json", e.getList)
	api.HandleFunc("GET /containers/{id}/json", e.getContainer)
	api.HandleFunc("POST /containers/{id}/start", e.postStart)
	api.HandleFunc("POST /containers/{id}/kill", e.postKill)
	api.HandleFunc("DELETE /containers/{id}", e.deleteContainer)
	api.HandleFunc("PUT /containers/{id}/archive", e.putArchive)
	api.HandleFunc("GET /containers/{id}/archive", e.getArchive) // HEAD, too
	api.HandleFunc("GET /containers/{id}/logs", e.getLogs)
	api.HandleFunc("GET /events", e.getEvents)
	api.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotImplemented, fmt.Errorf("the fake engine does not serve %s %s", r.Method, r.URL.Path))
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = versionPrefix.ReplaceAllString(r.URL.Path, "/")
		api.ServeHTTP(w, r)
	})
	return mux
}

// imageID is the id of an image.
func imageID(name string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name))) }

func (e *fakeEngine) postCreate(w http.ResponseWriter, r *http.Request) {
	var config containerConfig
	if err := json.NewDecoder(r.Body).Decode(&config); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if !slices.Contains(e.images(), config.Image) {
		refuse(w, http.StatusNotFound, errors.New("No such image: "+config.Image))
		return
	}
	id, err := e.create(r.URL.Query().Get("name"), config)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusCreated, map[string]any{"Id": id, "Warnings": []string{}})
}

func (e *fakeEngine) getList(w http.ResponseWriter, r *http.Request) {
	f, err := filtersOf(r, "label")
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	all, _ := strconv.ParseBool(r.URL.Query().Get("all"))
	list := []map[string]any{}
	for _, c := range e.list(all, f["label"]) {
		list = append(list, map[string]any{
			"Id": c.id, "Names": []string{"/" + c.name}, "Image": c.config.Image, "Created": c.created.Unix(),
			"State": c.status, "Status": c.statusText(), "Labels": c.config.Labels,
		})
	}
	answer(w, http.StatusOK, list)
}

func (e *fakeEngine) getContainer(w http.ResponseWriter, r *http.Request) {
	c, err := e.inspect(r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"Id": c.id, "Name": "/" + c.name, "Created": c.created.Format(time.RFC3339Nano), "Image": imageID(c.config.Image),
		"State": map[string]any{
			"Status": c.status, "Running": c.status == "running", "ExitCode": c.exitCode,
			"StartedAt": c.started.Format(time.RFC3339Nano), "FinishedAt": c.finished.Format(time.RFC3339Nano),
		},
		"Config":     map[string]any{"Labels": c.config.Labels, "User": c.config.User, "Image": c.config.Image, "Env": c.config.Env},
		"HostConfig": map[string]any{}, "Mounts": []any{},
	})
}

func (e *fakeEngine) postStart(w http.ResponseWriter, r *http.Request) {
	started, err := e.start(r.PathValue("id"))
	switch {
	case err != nil:
		fail(w, err)
	case started:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotModified)
	}
}

func (e *fakeEngine) postKill(w http.ResponseWriter, r *http.Request) {
	if err := e.signal(r.PathValue("id"), r.URL.Query().Get("signal")); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (e *fakeEngine) deleteContainer(w http.ResponseWriter, r *http.Request) {
	force, _ := strconv.ParseBool(r.URL.Query().Get("force"))
	if err := e.remove(r.PathValue("id"), force); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// getLogs answers in the engine's framing, all of it as standard error.
func (e *fakeEngine) getLogs(w http.ResponseWriter, r *http.Request) {
	c, err := e.inspect(r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	n, err := strconv.Atoi(r.URL.Query().Get("tail"))
	if err != nil {
		n = len(c.output.tail(1 << 20))
	}
	for _, line := range c.output.tail(n) {
		header := [8]byte{0: 2}
		binary.BigEndian.PutUint32(header[4:], uint32(len(line)))
		_, _ = w.Write(append(header[:], line...)) // the client may be gone
	}
}

// getEvents answers what happened since then, and then what happens.
func (e *fakeEngine) getEvents(w http.ResponseWriter, r *http.Request) {
	f, err := filtersOf(r, "type", "event", "label")
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	last := time.Unix(since, 0)
	if since == 0 {
		last = time.Now()
	}
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w)
	for {
		e.mu.Lock()
		changed := e.changed
		fresh := slices.Clone(slices.DeleteFunc(slices.Clone(e.events), func(ev fakeEvent) bool { return !ev.at.After(last) }))
		e.mu.Unlock()
		for _, ev := range fresh {
			last = ev.at
			if wanted(ev, f) {
				_ = json.NewEncoder(w).Encode(map[string]any{
					"Type": "container", "Action": ev.action, "time": ev.at.Unix(), "timeNano": ev.at.UnixNano(),
					"Actor": map[string]any{"ID": ev.id, "Attributes": ev.labels},
				})
			}
		}
		_ = flush.Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// wanted reports whether an event passes the filters.
func wanted(ev fakeEvent, f map[string]map[string]bool) bool {
	for label := range f["label"] {
		if !hasLabel(ev.labels, label) {
			return false
		}
	}
	return (len(f["type"]) == 0 || f["type"]["container"]) && (len(f["event"]) == 0 || f["event"][ev.action])
}

// filtersOf reads the filters of a request, of the known kinds only.
func filtersOf(r *http.Request, known ...string) (map[string]map[string]bool, error) {
	text := r.URL.Query().Get("filters")
	if text == "" {
		return nil, nil
	}
	var f map[string]map[string]bool
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return nil, fmt.Errorf("read filters %q: %w", text, err)
	}
	for kind := range f {
		if !slices.Contains(known, kind) {
			return nil, fmt.Errorf("the fake engine has no filter %q", kind)
		}
	}
	return f, nil
}

// fail answers an error with the status that the engine gives it.
func fail(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errNoContainer):
		refuse(w, http.StatusNotFound, err)
	case errors.Is(err, errNameTaken), errors.Is(err, errNotRunning), errors.Is(err, errRunning):
		refuse(w, http.StatusConflict, err)
	default:
		refuse(w, http.StatusInternalServerError, err)
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
