package e2e

import (
	"bufio"
	"context"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// said is one line of the daemon's log about a runner.
type said struct {
	At              time.Time
	Message, Runner string
}

var saidLine = regexp.MustCompile(`^time=(\S+) level=\S+ msg="([^"]*)" (?:.* )?runner=(\S+)`)

// follower reads along what the daemon says of its runners.
type follower struct {
	mu    sync.Mutex
	lines []said
	news  chan said // what is not received in time is dropped
}

// follow follows the daemon's log until the test ends.
func (d *daemon) follow(t *testing.T) *follower {
	t.Helper()
	log, err := os.Open(d.log)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{news: make(chan said, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var reading sync.WaitGroup
	t.Cleanup(func() { cancel(); reading.Wait() })
	reading.Go(func() {
		defer func() { _ = log.Close() }()
		pace := time.NewTicker(watchPace)
		defer pace.Stop()
		text, part := bufio.NewReader(log), ""
		for ctx.Err() == nil {
			line, err := text.ReadString('\n')
			if part += line; err == nil {
				f.add(part)
				part = ""
				continue
			}
			if err != io.EOF {
				t.Errorf("follow the log: %v", err)
				return
			}
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
	})
	return f
}

func (f *follower) add(line string) {
	found := saidLine.FindStringSubmatch(strings.TrimSpace(line))
	if found == nil {
		return
	}
	at, err := time.Parse(time.RFC3339Nano, found[1])
	if err != nil {
		return
	}
	s := said{at, found[2], found[3]}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, s)
	select {
	case f.news <- s:
	default:
	}
}

// of returns, for each runner of which the message was said, when it was said
// first.
func (f *follower) of(message string) map[string]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := make(map[string]time.Time)
	for _, s := range f.lines {
		if _, known := first[s.Runner]; !known && s.Message == message {
			first[s.Runner] = s.At
		}
	}
	return first
}
