package server

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestExplain(t *testing.T) {
	var asked plan.Query
	answer := plan.Explanation{At: now, State: plan.StateQueued, Job: plan.JobDecision{ID: 5, Labels: []string{"linux"}, QueuedAt: now, Next: "once the engine answers"},
		Summary: []string{"It waits."}, Pools: []plan.PoolAnswer{{Pool: "linux", Labels: []string{"linux"}, Obstacles: []plan.Obstacle{{Kind: plan.ObstacleMax, Reason: "full", Until: now}}}}}
	var fault error
	explain := func(q plan.Query) (plan.Explanation, error) {
		asked = q
		return answer, fault
	}
	log := slog.New(slog.DiscardHandler)
	c := serve(t, &fakeSource{}, log, WithExplain(explain))
	for _, q := range []plan.Query{
		{Job: 5}, {URL: "https://git.example.com/a/b/actions/runs/3/jobs/0?x=1&y=2#z"}, {Labels: []string{"linux", "x 64"}, Repo: "a/b"}, {Labels: []string{"linux"}}, {Repo: "a/b"}, {},
	} {
		got, err := c.Explain(t.Context(), q)
		if err != nil || !reflect.DeepEqual(got, answer) || !reflect.DeepEqual(asked, q) {
			t.Errorf("%+v arrives as %+v; the answer is %+v, %v", q, asked, got, err)
		}
	}
	fault = plan.ErrNotFound
	if _, err := c.Explain(t.Context(), plan.Query{Job: 5}); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("of an unknown job: %v", err)
	}
	if _, err := serve(t, &fakeSource{}, log).Explain(t.Context(), plan.Query{Job: 5}); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("of a server that cannot: %v", err)
	}
}

func TestExplainRefusesQueries(t *testing.T) {
	explain := func(plan.Query) (plan.Explanation, error) { return plan.Explanation{}, nil }
	for path, want := range map[string]string{
		"/v1/explain":                         "give job, or labels and repo",
		"/v1/explain?repo=a/b":                "give job, or labels and repo",
		"/v1/explain?job=1&labels=linux":      "give job, or labels and repo",
		"/v1/explain?job=1&repo=a/b":          "give job, or labels and repo",
		"/v1/explain?job=":                    "give its id, or the address of its page",
		"/v1/explain?job=-1":                  "give its id, or the address of its page",
		"/v1/explain?job=linux":               "give its id, or the address of its page",
		"/v1/explain?job=9999999999999999999": "give its id, or the address of its page",
	} {
		w := httptest.NewRecorder()
		New(&fakeSource{}, slog.New(slog.DiscardHandler), WithExplain(explain)).handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %q", path, w.Code, w.Body, want)
		}
	}
}
