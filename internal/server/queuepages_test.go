package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// queueWeb is a login to a daemon with two queued jobs, of which one waits.
func queueWeb(t *testing.T, explain func(plan.Query) (plan.Explanation, error)) *browser {
	t.Helper()
	cfg := gatewayConfig(t)
	cfg.GatewayURL, cfg.Explain = "", explain
	status := fakeStatus{Cycle: 8, CycleAt: now, QueueSize: 40, Queue: []plan.JobDecision{
		{ID: 41, Repo: "a/app", Name: "build <x>", Labels: []string{"linux", "gpu"}, QueuedAt: now, URL: "https://git.example.com/a/app/actions/runs/7/jobs/1",
			Reason: "pool linux is at its max of 2", Next: "when one is gone"},
		{ID: 42, Repo: "a/app", Labels: []string{}, QueuedAt: now, Pool: "linux", Reason: "a runner is free or starting", URL: "javascript:alert(1)"},
	}}
	b := newBrowser(t, NewWeb(cfg, status, nil, slog.New(slog.DiscardHandler)))
	b.login("alice", "right")
	return b
}

func TestQueuePage(t *testing.T) {
	b := queueWeb(t, func(plan.Query) (plan.Explanation, error) { return plan.Explanation{}, nil })
	w := b.get("/queue")
	page := parsePage(t, w)
	for _, want := range []string{"build <x>", "linux, gpu", "pool linux is at its max of 2; it can get a runner when one is gone", "a runner is free or starting", "Gitea has 40 queued jobs. 2 were read", "40 jobs wait, and 1 of them has no pool that serves it now", "cycle 8"} {
		if !strings.Contains(page.text, want) {
			t.Errorf("the page lacks %q: %s", want, page.text)
		}
	}
	if body := w.Body.String(); !strings.Contains(body, `href="/queue/41"`) || !strings.Contains(body, `href="https://git.example.com/a/app/actions/runs/7/jobs/1"`) || strings.Contains(body, `href="javascript:`) {
		t.Errorf("links: %s", body)
	}
}

func TestJobPage(t *testing.T) {
	var asked plan.Query
	b := queueWeb(t, func(q plan.Query) (plan.Explanation, error) {
		asked = q
		if q.Job != 41 {
			return plan.Explanation{}, fmt.Errorf("job %d: %w", q.Job, plan.ErrNotFound)
		}
		return plan.Explanation{At: now, Job: plan.JobDecision{ID: 41, Repo: "a/app", Labels: []string{"linux"}, QueuedAt: now.Add(-time.Minute)},
			Summary: []string{"No runner is there for it: <full>.", "It can get a runner later."},
			Pools: []plan.PoolAnswer{{Pool: "linux", Fits: true, Waiting: 11, Starting: 12, Idle: 13, Busy: 14, Leaving: 15, Max: 16,
				Obstacles: []plan.Obstacle{{Reason: "it is at its max"}, {Reason: "it is on hold"}}}}}, nil
	})
	page := parsePage(t, b.get("/queue/41"))
	if asked.Job != 41 {
		t.Errorf("asked for %+v", asked)
	}
	var cells []string
	for _, c := range page.find("tbody")[0].find("tr")[0].children {
		cells = append(cells, c.text)
	}
	if got := strings.Join(cells, "|"); !strings.HasPrefix(got, "linux|yes|no|11|12|13|14|15|16|it is at its max") || !strings.Contains(got, "it is on hold") {
		t.Errorf("cells %s", got)
	}
	for _, want := range []string{"No runner is there for it: <full>.", "It can get a runner later.", "a/app", "2026-03-01 11:59 UTC"} {
		if !strings.Contains(page.text, want) {
			t.Errorf("the page lacks %q: %s", want, page.text)
		}
	}
	for path, want := range map[string]int{"/queue/7": http.StatusNotFound, "/queue/x": http.StatusBadRequest, "/queue/-1": http.StatusBadRequest} {
		if w := b.get(path); w.Code != want || !strings.Contains(w.Body.String(), `href="/queue"`) {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestQueueWithoutExplanations(t *testing.T) {
	b := queueWeb(t, nil)
	if body := b.get("/queue").Body.String(); strings.Contains(body, `href="/queue/41"`) {
		t.Error("a job leads to a page that is not there")
	}
	if w := b.get("/queue/41"); w.Code != http.StatusNotFound {
		t.Errorf("%d", w.Code)
	}
}

func TestPoolsPageBesideTheTokens(t *testing.T) {
	b := loggedIn(t, gatewayConfig(t), newFakeTokens())
	if w := b.get("/pools"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Nothing is known of any pool yet") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
