package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// event is what the engine says of a container.
type event struct {
	Action string // create, start, die, destroy and others
	Actor  struct {
		ID         string
		Attributes map[string]string
	}
	TimeNano int64 `json:"timeNano"`
}

// recorder writes down what happens to the test's containers.
type recorder struct {
	mu     sync.Mutex
	events []event
	notify chan struct{} // holds something after an event
}

// record records until the test ends. each, if not nil, is called with every
// event, in order.
func (r *rig) record(t *testing.T, each func(event)) *recorder {
	t.Helper()
	rec := &recorder{notify: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	now := time.Now()
	cmd := exec.CommandContext(ctx, "docker", "events", "--since", fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()),
		"--filter", "type=container", "--filter", "label="+testLabel+"="+r.id, "--format", "{{json .}}")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	t.Cleanup(func() { cancel(); reading.Wait() })
	reading.Go(func() {
		defer func() { _ = cmd.Wait() }()
		lines := json.NewDecoder(out)
		for {
			var e event
			if err := lines.Decode(&e); err != nil {
				return // it was ended
			}
			rec.add(e)
			if each != nil {
				each(e)
			}
		}
	})
	return rec
}

func (rec *recorder) add(e event) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.events = append(rec.events, e)
	select {
	case rec.notify <- struct{}{}:
	default:
	}
}

// all returns the events of one kind so far.
func (rec *recorder) all(action string) []event {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	var found []event
	for _, e := range rec.events {
		if e.Action == action {
			found = append(found, e)
		}
	}
	return found
}

// await waits for the first event of a kind.
func (rec *recorder) await(t *testing.T, action string, within time.Duration) {
	t.Helper()
	late := time.After(within)
	for len(rec.all(action)) == 0 {
		select {
		case <-rec.notify:
		case <-late:
			t.Fatalf("no %s of a container within %s", action, within)
		}
	}
}

// peak is the largest number of containers that existed at one time.
func (rec *recorder) peak() int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	now, most := 0, 0
	for _, e := range rec.events {
		switch e.Action {
		case "create":
			now++
		case "destroy":
			now--
		}
		most = max(most, now)
	}
	return most
}
