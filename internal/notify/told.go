package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// restartGrace is how long after the start what was told before is taken
	// for the same thing: after that it has happened anew.
	restartGrace = 10 * time.Minute
	// restartAge is how long ago it may have been told.
	restartAge = 24 * time.Hour
	// toldFor bounds the memory in time, and maxTold in size, for each target.
	toldFor = 30 * 24 * time.Hour
	maxTold = 2000
)

// closers are the kinds that end what another one began.
var closers = map[plan.EventKind][]plan.EventKind{
	plan.EventBreakerClosed: {plan.EventBreakerOpened, plan.EventTokenRefused},
	plan.EventProblemOver:   {plan.EventProblem},
	plan.EventConfigTaken:   {plan.EventConfigRejected},
}

// lasting are the kinds of what goes on for a while, so that a restart of the
// daemon finds it again.
var lasting = []plan.EventKind{plan.EventBreakerOpened, plan.EventTokenRefused, plan.EventProblem, plan.EventConfigRejected}

// told remembers what each target was told, over restarts too. It is not safe
// for concurrent use.
type told struct {
	file  string // "" for none
	begun time.Time
	marks map[string]map[string]mark // by target and thing
	dirty bool
}

// mark is that something was told.
type mark struct {
	At   time.Time `json:"at"`
	Open bool      `json:"open,omitempty"` // it goes on
	old  bool      // it was told before the daemon's start
}

func newTold(file string) *told {
	return &told{file: file, begun: time.Now(), marks: make(map[string]map[string]mark)}
}

// thing tells apart what is told: two events of one thing say the same.
func thing(kind plan.EventKind, e plan.Event) string {
	about := e.Pool
	if kind == plan.EventProblem { // whose subject is at the begin of the text
		about, _, _ = strings.Cut(e.Text, ": ")
	}
	if e.Server != "" { // two servers may have the same problem
		about = e.Server + " " + about
	}
	return string(kind) + "|" + about
}

// over notes what an event says to be over, whether the target is told of it or
// not.
func (t *told) over(target string, e plan.Event) {
	for _, opener := range closers[e.Kind] {
		key := thing(opener, e)
		if m, known := t.marks[target][key]; known && m.Open {
			m.Open = false
			t.put(target, key, m)
		}
	}
}

// first reports whether a target is to be told of an event, and takes it for
// told then.
func (t *told) first(cfg *Target, e plan.Event, now time.Time) bool {
	repeats, lasts := cfg.RepeatAfter > 0, slices.Contains(lasting, e.Kind)
	if !repeats && !lasts {
		return true
	}
	key := thing(e.Kind, e)
	m, known := t.marks[cfg.Name][key]
	switch {
	case known && repeats && now.Sub(m.At) < cfg.RepeatAfter:
		m.Open, m.old = lasts, false
		t.put(cfg.Name, key, m)
		return false
	case known && lasts && m.old && m.Open && now.Sub(t.begun) < restartGrace && now.Sub(m.At) < restartAge:
		m.old = false
		t.put(cfg.Name, key, m)
		return false
	}
	t.put(cfg.Name, key, mark{At: now, Open: lasts})
	return true
}

// firstJob is first for a job that waits.
func (t *told) firstJob(target, job string, now time.Time) bool {
	key := jobPrefix + job
	if _, known := t.marks[target][key]; known {
		return false
	}
	t.put(target, key, mark{At: now})
	return true
}

const jobPrefix = string(plan.EventJobOverdue) + "|"

// keepJobs forgets the jobs that wait no more. Those that were told before the
// start have to be seen first.
func (t *told) keepJobs(target string, waits func(job string) bool, now time.Time) {
	for key, m := range t.marks[target] {
		job, isJob := strings.CutPrefix(key, jobPrefix)
		if isJob && !waits(job) && (!m.old || now.Sub(t.begun) > forgetJob) {
			delete(t.marks[target], key)
			t.dirty = true
		}
	}
}

func (t *told) put(target, key string, m mark) {
	if t.marks[target] == nil {
		t.marks[target] = make(map[string]mark)
	}
	t.marks[target][key] = m
	t.dirty = true
	t.bound(target, m.At)
}

// bound forgets what is too old, and the oldest of what is too much.
func (t *told) bound(target string, now time.Time) {
	marks := t.marks[target]
	if len(marks) <= maxTold {
		return
	}
	maps.DeleteFunc(marks, func(_ string, m mark) bool { return now.Sub(m.At) > toldFor })
	for len(marks) > maxTold {
		oldest := ""
		for key, m := range marks {
			if oldest == "" || m.At.Before(marks[oldest].At) {
				oldest = key
			}
		}
		delete(marks, oldest)
	}
}

// forget forgets a target.
func (t *told) forget(target string) {
	if t.marks[target] != nil {
		delete(t.marks, target)
		t.dirty = true
	}
}

// keep forgets the targets that are not known.
func (t *told) keep(known func(target string) bool) {
	for target := range t.marks {
		if target != ofJournal && !known(target) {
			t.forget(target)
		}
	}
}

// load reads the file. Without one nothing was told before.
func (t *told) load(now time.Time) error {
	t.begun = now
	if t.file == "" {
		return nil
	}
	data, err := os.ReadFile(t.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what was told before: %w", err)
	}
	var before map[string]map[string]mark
	if err := json.Unmarshal(data, &before); err != nil {
		return fmt.Errorf("read what was told before from %s: %w: it is written anew", t.file, err)
	}
	for target, marks := range before {
		for key, m := range marks {
			if now.Sub(m.At) < toldFor {
				m.old = true
				t.put(target, key, m)
			}
		}
	}
	t.dirty = false
	return nil
}

// save writes the file if something has changed. It is there whole, or as it
// was.
func (t *told) save() error {
	if !t.dirty || t.file == "" {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	if err := enc.Encode(t.marks); err != nil {
		return fmt.Errorf("write what was told: %w", err)
	}
	part := t.file + ".part"
	if err := os.WriteFile(part, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write what was told: %w", err)
	}
	if err := os.Rename(part, t.file); err != nil {
		return fmt.Errorf("write what was told: %w", err)
	}
	t.dirty = false
	return nil
}
