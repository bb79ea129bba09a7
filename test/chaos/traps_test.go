package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// TestTraps sends requests into an armed trap until each moment has come
// about, and looks at what the server and the client saw.
func TestTraps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		killed, served, seen := 0, 0, 0
		traps := newTraps(rand.New(rand.NewPCG(1, 1)), []point{{stepStart, before}, {stepStart, unheard}, {stepStart, answered}, {stepStart, late}},
			func() { killed++ }, func(string, ...any) {})
		handler := traps.hook(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != "body" {
				t.Errorf("body %q, %v", body, err)
			}
			served++
			w.WriteHeader(http.StatusNoContent)
		}), engineStep, func(string, *http.Request) { seen++ })
		moments := map[string]int{}
		for len(moments) < 4 {
			fired := traps.arm(false)
			wasKilled, wasServed := killed, served
			status := request(handler)
			select {
			case <-fired:
			default:
				if !traps.disarm() || killed != wasKilled || served != wasServed+1 || status != http.StatusNoContent {
					t.Fatalf("a request that passed: killed %d, served %d, status %d", killed, served, status)
				}
				continue
			}
			if traps.disarm() || killed != wasKilled+1 {
				t.Fatalf("killed %d times, armed still", killed-wasKilled)
			}
			switch {
			case served == wasServed && status == 0:
				moments["before"]++
			case served == wasServed+1 && status == 0:
				moments["unheard or late"]++
			case served == wasServed+1 && status == http.StatusNoContent:
				moments["answered"]++
			}
			if moments["unheard or late"] == 2 {
				moments["both"] = 1
			}
		}
		if seen != served {
			t.Errorf("%d requests seen and %d served", seen, served)
		}
		if c := traps.coverage(); strings.Contains(c, "=0") || !strings.Contains(c, "start/late=") {
			t.Errorf("coverage %s", c)
		}
	})
}

// request makes a request to start a container and returns the status, 0 if
// the connection was cut.
func request(h http.Handler) (status int) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1.41/containers/abc/start", bytes.NewBufferString("body")))
	return w.Code
}

func TestSteps(t *testing.T) {
	for request, want := range map[string]string{
		"POST /api/actions/runner.v1.RunnerService/Register":   stepRegister,
		"POST /api/actions/runner.v1.RunnerService/FetchTask":  "",
		"POST /api/actions/runner.v1.RunnerService/Deregister": stepDeregister,
		"GET /api/v1/admin/actions/runners":                    stepFind,
		"GET /api/v1/orgs/acme/actions/runners/7":              stepLook,
		"PATCH /api/v1/admin/actions/runners/7":                stepDisable,
		"DELETE /api/v1/admin/actions/runners/7":               stepDeregister,
		"GET /api/v1/admin/actions/jobs":                       "",
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := giteaStep(httptest.NewRequest(method, path, nil)); got != want {
			t.Errorf("%s: step %q, want %q", request, got, want)
		}
	}
	for request, want := range map[string]string{
		"POST /v1.41/containers/create":      stepCreate,
		"PUT /v1.41/containers/abc/archive":  stepPutFiles,
		"GET /v1.41/containers/abc/archive":  "",
		"POST /v1.41/containers/abc/start":   stepStart,
		"POST /v1.41/containers/abc/kill":    stepStop,
		"DELETE /v1.41/containers/abc":       stepRemove,
		"GET /v1.41/containers/json":         "",
		"GET /v1.41/events":                  "",
		"DELETE /v1.41/images/scaler-demo:1": "",
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := engineStep(httptest.NewRequest(method, path, nil)); got != want {
			t.Errorf("%s: step %q, want %q", request, got, want)
		}
	}
}
