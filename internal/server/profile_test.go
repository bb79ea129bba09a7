package server

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// unzipped returns the text of a profile, in which the names of functions and
// of sample types stand as they are.
func unzipped(t *testing.T, profile []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		t.Fatalf("profile of %d bytes: %v", len(profile), err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestProfilesOverTheControlSocket(t *testing.T) {
	c := serve(t, &fakeSource{}, slog.New(slog.DiscardHandler))
	for kind, want := range map[string]string{
		"heap": "inuse_space", "allocs": "alloc_space", "goroutine": "TestProfilesOverTheControlSocket", "cpu": "nanoseconds",
	} {
		got, err := c.Profile(t.Context(), kind, time.Second)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if text := unzipped(t, got); !strings.Contains(text, want) {
			t.Errorf("%s: the profile has no %q", kind, want)
		}
	}
	if _, err := c.Profile(t.Context(), "cmdline", time.Second); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("unknown kind: %v, want ErrInvalid", err)
	}
	if _, err := c.Profile(t.Context(), "cpu", MaxProfile+time.Second); !errors.Is(err, plan.ErrInvalid) || !strings.Contains(err.Error(), "from 1 to 300") {
		t.Errorf("too long: %v, want ErrInvalid", err)
	}
}

// TestContentionIsSampledMeanwhile: the profiles of locks and blocks would be
// empty if the runtime were not told to sample, and must not leave it so.
func TestContentionIsSampledMeanwhile(t *testing.T) {
	c := serve(t, &fakeSource{}, slog.New(slog.DiscardHandler))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	var lock sync.Mutex
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				lock.Lock()
				select {
				case <-time.After(time.Millisecond): // a lock that is held, for the other to wait
				case <-stop:
				}
				lock.Unlock()
			}
		})
	}
	for _, kind := range []string{"mutex", "block"} {
		got, err := c.Profile(t.Context(), kind, time.Second)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if text := unzipped(t, got); !strings.Contains(text, "TestContentionIsSampledMeanwhile") {
			t.Errorf("%s: the profile lacks the contention", kind)
		}
	}
	if is := runtime.SetMutexProfileFraction(-1); is != 0 {
		t.Errorf("mutexes are sampled for ever: 1 in %d", is)
	}
}

func TestOneProfileAtATime(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	p := new(profiler)
	long := p.timed(func(http.ResponseWriter, *http.Request) { close(began); <-release }, nil)
	other := p.timed(func(http.ResponseWriter, *http.Request) {}, nil)
	ask := func(h http.HandlerFunc, query string) int {
		w := httptest.NewRecorder()
		h(w, httptest.NewRequest("GET", "/debug/pprof/profile"+query, nil))
		return w.Code
	}
	done := make(chan int)
	go func() { done <- ask(long, "?seconds=1") }()
	<-began
	if code := ask(other, ""); code != http.StatusConflict {
		t.Errorf("meanwhile: %d, want %d", code, http.StatusConflict)
	}
	close(release)
	if code := <-done; code != http.StatusOK {
		t.Errorf("the first: %d", code)
	}
	if code := ask(other, ""); code != http.StatusOK {
		t.Errorf("afterwards: %d", code)
	}
	for _, query := range []string{"?seconds=0", "?seconds=-1", "?seconds=301", "?seconds=1.5", "?seconds=x"} {
		if code := ask(other, query); code != http.StatusBadRequest {
			t.Errorf("%s: %d, want %d", query, code, http.StatusBadRequest)
		}
	}
}

// TestNoProfilesOnTheListener: importing net/http/pprof adds its handlers to
// the default mux, which no listener may serve.
func TestNoProfilesOnTheListener(t *testing.T) {
	b := loggedIn(t, gatewayConfig(t), newFakeTokens())
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/pprof/cmdline"} {
		if w := b.get(path); w.Code != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, w.Code)
		}
		if w := b.post(path); w.Code < 400 || w.Code >= 500 {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
}
