package server

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// versions is what a hub is told of.
type versions struct {
	mu    sync.Mutex
	now   string
	asked int
}

func (v *versions) get() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	return v.now
}

func (v *versions) set(now string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = now
}

func (v *versions) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked
}

func TestChangesWithinASecondAreToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &versions{now: "a"}
		h := newLiveHub(v.get)
		news, ok := h.join()
		if !ok {
			t.Fatal("nobody may watch")
		}
		defer h.leave(news)
		told := 0
		for range 100 {
			time.Sleep(30 * time.Millisecond)
			v.set(time.Now().String())
			select {
			case <-news:
				told++
			default:
			}
		}
		if told < 2 || told > 3 {
			t.Errorf("told %d times in 3 s, want once a second", told)
		}
	})
}

func TestSlowWatchersSeeTheNewestOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &versions{now: "a"}
		h := newLiveHub(v.get)
		news, _ := h.join()
		defer h.leave(news)
		for _, next := range []string{"b", "c", "d"} {
			v.set(next)
			time.Sleep(2 * liveEvery)
		}
		if got := <-news; got != "d" {
			t.Errorf("told of %s, want d", got)
		}
		time.Sleep(10 * liveEvery)
		select {
		case got := <-news:
			t.Errorf("told of %s though nothing is new", got)
		default:
		}
	})
}

func TestNobodyLooksWhileNobodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &versions{now: "a"}
		h := newLiveHub(v.get)
		first, _ := h.join()
		second, _ := h.join()
		h.leave(first)
		time.Sleep(3 * liveEvery)
		if v.count() < 3 {
			t.Errorf("looked %d times while somebody watches", v.count())
		}
		h.leave(second)
		synctest.Wait()
		before := v.count()
		time.Sleep(time.Hour)
		if v.count() != before {
			t.Errorf("looked %d times though nobody watches", v.count()-before)
		}
		again, _ := h.join()
		defer h.leave(again)
		v.set("b")
		time.Sleep(2 * liveEvery)
		if got := <-again; got != "b" {
			t.Errorf("told of %s", got)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	web := busyWorld(1, 1).web(t, WebConfig{}, nil)
	for range maxStreams {
		news, ok := web.live.join()
		if !ok {
			t.Fatal("fewer streams than there may be")
		}
		defer web.live.leave(news)
	}
	w := newBrowser(t, web).get("/live")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// liveStream is a response that is read while it is written, over virtual time.
type liveStream struct {
	*httptest.ResponseRecorder
	mu   sync.Mutex
	text strings.Builder
}

func (s *liveStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *liveStream) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.text.String()
	s.text.Reset()
	return text
}

func (s *liveStream) Flush() {}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := busyWorld(2, 2)
		web := world.web(t, WebConfig{}, nil)
		h := web.Handler()
		s := &liveStream{ResponseRecorder: httptest.NewRecorder()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(s, httptest.NewRequest(http.MethodGet, "/live", nil).WithContext(ctx))
		}()
		synctest.Wait()
		if text := s.take(); !strings.HasSuffix(text, "event: version\ndata: "+web.version()+"\n\n") {
			t.Errorf("it begins with %q", text)
		}
		if kind := s.Header().Get("Content-Type"); kind != "text/event-stream" {
			t.Errorf("it is %s", kind)
		}
		world.change(func(s *plan.Status) { s.QueueSize++ })
		time.Sleep(2 * liveEvery)
		if text := s.take(); text != "event: version\ndata: "+web.version()+"\n\n" {
			t.Errorf("a change is told as %q", text)
		}
		world.change(func(*plan.Status) {}) // a cycle in which nothing happens
		time.Sleep(5 * liveEvery)
		if text := s.take(); text != "" {
			t.Errorf("nothing is told as %q", text)
		}
		time.Sleep(liveBeat)
		if text := s.take(); text != ":\n\n" {
			t.Errorf("the beat is %q", text)
		}
		cancel()
		<-done
		if len(web.live.watchers) != 0 {
			t.Error("a watcher is left")
		}
	})
}

func TestStreamsEndByThemselves(t *testing.T) {
	for name, end := range map[string]func(*Web){"time is up": func(*Web) { time.Sleep(liveTime) }, "shutdown": func(w *Web) { w.live.close() }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web := busyWorld(2, 2).web(t, WebConfig{}, nil)
				done := make(chan struct{})
				go func() {
					defer close(done)
					web.Handler().ServeHTTP(&liveStream{ResponseRecorder: httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/live", nil))
				}()
				synctest.Wait()
				end(web)
				synctest.Wait()
				select {
				case <-done:
				default:
					t.Error("the stream goes on")
				}
			})
		})
	}
}

// A stream outlives the deadlines of pages, and does not hold up the end.
func TestStreamOverARealConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	world := busyWorld(1, 1)
	web := world.web(t, WebConfig{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- web.Serve(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
				return data
			}
		}
		return ""
	}
	first := next()
	world.change(func(s *plan.Status) { s.QueueSize++ })
	if second := next(); second == "" || second == first {
		t.Errorf("versions %q and %q", first, second)
	}
	cancel()
	began := time.Now()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if took := time.Since(began); took > webShutdownTimeout/2 {
		t.Errorf("the end took %s", took)
	}
}

// The version changes with all that pages show.
func TestVersion(t *testing.T) {
	changes := map[string]func(w *world){
		"a pool":      func(w *world) { w.change(func(s *plan.Status) { s.Pools[0].Idle++ }) },
		"a pause":     func(w *world) { w.change(func(s *plan.Status) { s.Pools[0].Paused = &plan.Pause{By: "bob"} }) },
		"a phase":     func(w *world) { w.change(func(s *plan.Status) { s.Runners[3].Phase = plan.PhaseExited }) },
		"a note":      func(w *world) { w.change(func(s *plan.Status) { s.Runners[3].Note = "x" }) },
		"a job":       func(w *world) { w.change(func(s *plan.Status) { s.Runners[3].Job = 5 }) },
		"a reason":    func(w *world) { w.change(func(s *plan.Status) { s.Queue[1].Reason = "x" }) },
		"the queue":   func(w *world) { w.change(func(s *plan.Status) { s.Queue = s.Queue[1:] }) },
		"a problem":   func(w *world) { w.change(func(s *plan.Status) { s.Problems = []plan.Problem{{Subject: "x"}} }) },
		"the file":    func(w *world) { w.change(func(s *plan.Status) { s.Config.Error = "x" }) },
		"an event":    func(w *world) { w.tell(plan.Event{Kind: plan.EventDrain}) },
		"the charts":  func(w *world) { w.drawn++ },
		"the end":     func(w *world) { w.change(func(s *plan.Status) { s.Shutdown = true }) },
		"one leaving": func(w *world) { w.change(func(s *plan.Status) { s.Runners[3].Leave = &plan.Pause{By: "bob"} }) },
	}
	for name, change := range changes {
		w := busyWorld(5, 3)
		web := w.web(t, WebConfig{}, nil)
		before := web.version()
		w.change(func(*plan.Status) {})
		if web.version() != before {
			t.Fatal("the version changes with each cycle")
		}
		change(w)
		if web.version() == before {
			t.Errorf("the version stays with %s", name)
		}
	}
}
