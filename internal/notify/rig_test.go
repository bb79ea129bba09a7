package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// diary is a journal that keeps everything.
type diary struct {
	mu     sync.Mutex
	events []plan.Event
	added  chan struct{}
	missed uint64 // what the next Since says
}

func newDiary() *diary { return &diary{added: make(chan struct{})} }

func (d *diary) add(events ...plan.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		e.Seq, e.At = uint64(len(d.events)+1), time.Now()
		d.events = append(d.events, e)
	}
	close(d.added)
	d.added = make(chan struct{})
}

func (d *diary) Add(e plan.Event) { d.add(e) }

// count counts the events of a kind.
func (d *diary) count(kind plan.EventKind) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func (d *diary) Since(seq uint64, limit int) ([]plan.Event, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	missed := d.missed
	d.missed = 0
	rest := d.events[seq:]
	return slices.Clone(rest[:min(limit, len(rest))]), missed
}

func (d *diary) Wait(ctx context.Context, seq uint64) error {
	for {
		d.mu.Lock()
		last, added := len(d.events), d.added
		d.mu.Unlock()
		if last > int(seq) {
			return nil
		}
		select {
		case <-added:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// post is the way to the targets: it keeps what is sent, and answers as it is
// told to.
type post struct {
	mu     sync.Mutex
	sent   []letter
	answer func(n int, req *http.Request) (status int, err error) // of the request number n from 1; nil for 200
}

// letter is one request that came.
type letter struct {
	at     time.Time
	url    string
	header http.Header
	body   string
	notice plan.Notice
}

func (p *post) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	l := letter{at: time.Now(), url: req.URL.String(), header: req.Header.Clone(), body: string(body)}
	_ = json.Unmarshal(body, &l.notice) // that of a template need not be one
	p.mu.Lock()
	p.sent = append(p.sent, l)
	n, answer := len(p.sent), p.answer
	p.mu.Unlock()
	status := http.StatusOK
	if answer != nil {
		if status, err = answer(n, req); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: status, Header: make(http.Header), Body: io.NopCloser(strings.NewReader("the answer")), Request: req}, nil
}

func (p *post) letters() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

// tally is a meter.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (t *tally) count(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	t.counts[what] += n
}

func (t *tally) Notified(target string, arrived bool) { t.count(fmt.Sprint(target, " ", arrived), 1) }
func (t *tally) Dropped(target string, events int)    { t.count(target+" dropped", events) }
func (t *tally) Forget(target string)                 { t.count(target+" forgotten", 1) }
func (t *tally) of(what string) int                   { t.mu.Lock(); defer t.mu.Unlock(); return t.counts[what] }

// rig is a Notifier that runs in a bubble of virtual time.
type rig struct {
	t        *testing.T
	n        *Notifier
	diary    *diary
	post     *post
	tally    *tally
	mu       sync.Mutex
	queue    []plan.JobDecision
	problems []string
	log      *strings.Builder
	stop     func()
}

// newRig starts a Notifier for the targets.
func newRig(t *testing.T, memory string, targets ...Target) *rig {
	t.Helper()
	r := &rig{t: t, diary: newDiary(), post: new(post), tally: new(tally), log: new(strings.Builder)}
	r.n = New(Config{
		Host: "build-1", Instance: "3f2a9c0b71de", Version: "v1", Events: r.diary, Memory: memory, Transport: r.post, Meter: r.tally,
		Status: func() plan.Status {
			r.mu.Lock()
			defer r.mu.Unlock()
			return plan.Status{Queue: slices.Clone(r.queue)}
		},
		Problem: func(_ context.Context, subject, message string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.problems = append(r.problems, subject+": "+message)
			return nil
		},
		Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, targets)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.n.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) wait(jobs ...plan.JobDecision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = jobs
}

func (r *rig) noted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.problems)
}

// told returns what the messages have told, each as the kinds and pools of its
// events, and what was dropped.
func (r *rig) told() (messages []string) {
	for _, l := range r.post.letters() {
		var parts []string
		for _, e := range l.notice.Events {
			part := string(e.Kind)
			if e.Pool != "" {
				part += " " + e.Pool
			}
			if e.Job != 0 {
				part += fmt.Sprint(" ", e.Job)
			}
			parts = append(parts, part)
		}
		if l.notice.Dropped > 0 {
			parts = append(parts, fmt.Sprint("dropped ", l.notice.Dropped))
		}
		messages = append(messages, strings.Join(parts, ", "))
	}
	return messages
}

func (r *rig) wantTold(want ...string) {
	r.t.Helper()
	if got := r.told(); !slices.Equal(got, want) {
		r.t.Errorf("told\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// text is a value that is not read from anywhere.
func text(s string) func() (plan.Secret, error) {
	return func() (plan.Secret, error) { return plan.Secret(s), nil }
}

// simple is a target with the usual settings.
func simple(name string, change ...func(*Target)) Target {
	t := Target{
		Name: name, URL: text("https://" + name + ".example.com/hook"), Method: http.MethodPost,
		Events:       []plan.EventKind{plan.EventBreakerOpened, plan.EventBreakerClosed, plan.EventProblem, plan.EventProblemOver, plan.EventCorpse, plan.EventJobOverdue},
		OverdueAfter: 10 * time.Minute, Batch: 20, Rate: Rate{20, time.Hour}, Timeout: 10 * time.Second,
	}
	for _, c := range change {
		c(&t)
	}
	return t
}

var errRefused = errors.New("connection refused")

// inTime runs a test in a bubble of virtual time.
func inTime(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func opened(pool string) plan.Event {
	return plan.Event{Kind: plan.EventBreakerOpened, Pool: pool, Text: "no image"}
}
func closed(pool string) plan.Event { return plan.Event{Kind: plan.EventBreakerClosed, Pool: pool} }
func corpse(pool string) plan.Event { return plan.Event{Kind: plan.EventCorpse, Pool: pool} }
