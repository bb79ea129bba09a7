package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/plan"
)

// unready is what is wrong with one pool's image.
func unready(pool, message string) error {
	return &docker.Unprepared{Pool: pool, What: "image", Err: fmt.Errorf("%w: %s", plan.ErrImage, message)}
}

// attemptsOf returns a preparation that ends each time with the next of these,
// the last one for ever, and the times at which it was tried.
func attemptsOf(refresh time.Duration, log *bytes.Buffer, errs ...error) (*preparation, *[]time.Duration) {
	start, at := time.Now(), []time.Duration{}
	prepare := func(context.Context) error {
		at = append(at, time.Since(start))
		return errs[min(len(at), len(errs))-1]
	}
	level := &slog.HandlerOptions{Level: slog.LevelInfo}
	return &preparation{prepare: prepare, refresh: refresh, log: slog.New(slog.NewTextHandler(log, level))}, &at
}

func TestPreparationFollowsItsSchedule(t *testing.T) {
	bad := unready("linux", "registry down")
	for _, tc := range []struct {
		name    string
		refresh time.Duration
		errs    []error
		lasts   time.Duration
		least   int // tries
		most    int
		within  time.Duration // of the second after the first
	}{
		{"once if there is no refresh", 0, []error{nil}, 24 * time.Hour, 1, 1, 0},
		{"before the last pull is too old", time.Hour, []error{nil}, 10 * time.Hour, 12, 15, 48 * time.Minute},
		{"again soon after a failure", time.Hour, []error{bad, nil}, 40 * time.Minute, 2, 2, prepareRetryMin},
		{"until it is done, if there is no refresh", 0, []error{bad, bad, nil}, 24 * time.Hour, 3, 3, prepareRetryMin},
		{"more and more slowly", 0, []error{bad}, 2 * time.Hour, 15, 19, prepareRetryMin},
		{"never later than on schedule", time.Minute, []error{bad}, time.Hour, 76, 92, prepareRetryMin},
		{"while there is no engine", time.Hour, []error{docker.ErrUnreachable, nil}, 40 * time.Minute, 2, 2, prepareRetryMin},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				p, at := attemptsOf(tc.refresh, &log, tc.errs...)
				ctx, cancel := context.WithTimeout(t.Context(), tc.lasts)
				defer cancel()
				p.follow(ctx)
				if n := len(*at); n < tc.least || n > tc.most {
					t.Errorf("%d tries in %s, want %d to %d", n, tc.lasts, tc.least, tc.most)
				}
				if (*at)[0] != 0 || len(*at) > 1 && (*at)[1] > tc.within {
					t.Errorf("tries at %v, want the second within %s", *at, tc.within)
				}
			})
		})
	}
}

func TestPreparationLogsOnce(t *testing.T) {
	down := unready("linux", "registry down")
	var log bytes.Buffer
	p, _ := attemptsOf(0, &log,
		down, down, docker.ErrUnreachable, down, errors.Join(down, unready("gpu", "denied")), unready("linux", "denied"), nil)
	for i, want := range [][]string{
		{`level=WARN msg="not ready for starts" pool=linux what=image err="image unavailable: registry down"`},
		nil, nil, nil, // the cycle says that there is no engine
		{`pool=gpu what=image err="image unavailable: denied"`},
		{`msg="not ready for starts" pool=linux what=image err="image unavailable: denied"`, `level=INFO msg="ready for starts again" pool=gpu what=image`},
		{`level=INFO msg="ready for starts again" pool=linux what=image`},
	} {
		log.Reset()
		if good := p.attempt(t.Context()); good != (i == 6) {
			t.Errorf("try %d: good %v", i+1, good)
		}
		lines := strings.FieldsFunc(log.String(), func(r rune) bool { return r == '\n' })
		if len(lines) != len(want) {
			t.Fatalf("try %d logs\n%s\nwant %d lines", i+1, &log, len(want))
		}
		for j, w := range want {
			if !strings.Contains(lines[j], w) {
				t.Errorf("try %d logs %s, want %s", i+1, lines[j], w)
			}
		}
	}
}

func TestPreparationIsQuietWhenCancelled(t *testing.T) {
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	p, _ := attemptsOf(time.Hour, &log, nil)
	p.prepare = func(ctx context.Context) error {
		cancel()
		return errors.Join(unready("linux", "cut off"), ctx.Err())
	}
	p.follow(ctx)
	if log.Len() > 0 {
		t.Errorf("log:\n%s", &log)
	}
}

// TestPreparationOfTheConfiguration: what the daemon asks of Docker ahead, and
// at the start that follows.
func TestPreparationOfTheConfiguration(t *testing.T) {
	const pull, inspect, network = "POST /images/create", "GET /images/example/runner:1/json", "GET /networks/ci"
	for _, tc := range []struct {
		name, settings string
		ahead, start   []string
	}{
		{"by default", "", []string{pull, inspect, network}, nil},
		{"each start is to have the latest", ", refresh: 0", []string{pull, inspect, network}, []string{pull, inspect}},
		{"no images", ", prepull: false", []string{network}, []string{pull, inspect}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host, asked := dockerSocket(t)
			path, _ := writeConfig(t)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			pools, _, _ := strings.Cut(string(text), "  - {name: windows")
			pools = strings.Replace(pools, "max: 15}", "max: 15, container: {pull: always, network: ci}}", 1)
			write(t, path, pools+"docker: {host: "+host+tc.settings+"}\n")
			cfg, err := config.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			p, err := wire(cfg, stores{{}}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer p.first().engine.Close()
			if !newPreparation(cfg.Docker, p.first().engine, slog.New(slog.DiscardHandler)).attempt(t.Context()) {
				t.Error("not prepared")
			}
			if got := asked(); !slices.Equal(got, tc.ahead) {
				t.Errorf("ahead Docker is asked %q, want %q", got, tc.ahead)
			}
			if err := p.first().engine.EnsureImage(t.Context(), "linux"); err != nil {
				t.Error(err)
			}
			if got := asked(); !slices.Equal(got, tc.start) {
				t.Errorf("at the start Docker is asked %q, want %q", got, tc.start)
			}
		})
	}
}

// dockerSocket is a Docker that has everything. asked returns what it was asked
// of images and networks since the last time.
func dockerSocket(t *testing.T) (host string, asked func() []string) {
	t.Helper()
	path := filepath.Join(shortDir(t), "docker.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		request := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1.41")
		if strings.Contains(request, "/images/") || strings.Contains(request, "/networks/") {
			mu.Lock()
			seen = append(seen, request)
			mu.Unlock()
		}
		fmt.Fprint(w, "{}")
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return "unix://" + path, func() []string {
		mu.Lock()
		defer mu.Unlock()
		was := seen
		seen = nil
		return was
	}
}

func TestPreparationBeginsAnewAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, err := docker.New(docker.Config{Host: "unix:///nonexistent/docker.sock", Instance: "i"})
		must(t, err)
		var log bytes.Buffer
		p := newPreparation(config.Docker{Prepull: true}, engine, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.follow(ctx) }()
		tries := func() int { synctest.Wait(); return strings.Count(log.String(), "pools prepared") }
		if n := tries(); n != 1 {
			t.Errorf("%d tries, want 1", n)
		}
		for range 2 { // the first gives way if it has not been taken yet
			p.change(config.Docker{Prepull: true, Refresh: time.Hour})
		}
		before := tries()
		if before < 2 || p.refresh != time.Hour {
			t.Errorf("%d tries after a change, refresh %s", before, p.refresh)
		}
		time.Sleep(time.Hour)
		if n := tries(); n != before+1 {
			t.Errorf("%d tries an hour later, want %d", n, before+1)
		}
		cancel()
		<-done
	})
}
