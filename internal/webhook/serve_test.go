package webhook

import (
	"bufio"
	"context"
	"errors"
	"io"
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

// listen runs Serve on a free port. stop ends it and returns its error.
func (r *rig) listen(t *testing.T) (url string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, l) }()
	stop = sync.OnceValue(func() error { cancel(); return <-served })
	t.Cleanup(func() { _ = stop() })
	return "http://" + l.Addr().String() + "/webhook", stop
}

// clientFor returns a client of its own, so that no connection of another test
// is met.
func clientFor(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestServe(t *testing.T) {
	r := newRig(nil)
	url, stop := r.listen(t)
	client := clientFor(t)
	req := delivery("d-1", body(1, "queued"))
	out, err := http.NewRequest(http.MethodPost, url, req.Body)
	if err != nil {
		t.Fatal(err)
	}
	out.Header = req.Header
	resp, err := client.Do(out)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent || len(r.events()) != 1 {
		t.Errorf("answer %s, taken %v", resp.Status, r.events())
	}
	if err := stop(); err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := client.Post(url, "", nil); err == nil {
		t.Error("it still answers")
	}
}

func TestServeWithoutListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := newRig(nil).Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), "serve webhook: ") {
		t.Errorf("error %v", err)
	}
}

func TestPing(t *testing.T) {
	r := newRig(nil)
	url, _ := r.listen(t)
	r.do(delivery("d-1", body(1, "queued")))
	s, err := Ping(t.Context(), clientFor(t), url, testSecret)
	if err != nil || s.Accepted != 1 || s.Ignored != 0 || !s.Since.Equal(r.Stats().Since) {
		t.Errorf("stats %+v, %v", s, err)
	}
	answer := func(f http.HandlerFunc) string {
		server := httptest.NewServer(f)
		t.Cleanup(server.Close)
		return server.URL
	}
	tests := []struct {
		name, url string
		secret    plan.Secret
		is        error
		text      string
	}{
		{"wrong secret", url, "another", ErrSignature, ""},
		{"wrong path", url + "s", testSecret, nil, "HTTP 404 Not Found"},
		{"a page", answer(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }), testSecret, ErrNoReceiver, ""},
		{"other JSON", answer(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"accepted": 1}`) }), testSecret, ErrNoReceiver, ""},
		{"nothing in it", answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }), testSecret, nil, "HTTP 204 No Content"},
		{"a redirect", answer(func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, url, http.StatusPermanentRedirect)
		}), testSecret, nil, "HTTP 308 Permanent Redirect to " + url},
		{"no address", "http://127.0.0.1:0/", testSecret, nil, "connect"},
		{"no URL", "://", testSecret, nil, "ping webhook: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Ping(t.Context(), clientFor(t), tt.url, tt.secret)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v, %q", err, tt.is, tt.text)
			}
		})
	}
}

// dial returns a connection to Serve that is no socket. stop ends Serve.
func (r *rig) dial(t *testing.T) (conn net.Conn, stop func()) {
	t.Helper()
	client, server := net.Pipe()
	l := &oneListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conns <- server
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, l) }()
	return client, func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		client.Close()
	}
}

// oneListener accepts one connection.
type oneListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *oneListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowSenders: who does not get on with it is cut off.
func TestSlowSenders(t *testing.T) {
	sum := strings.Repeat("0", 64)
	tests := []struct {
		name, sent string
		status     string // of the answer, empty if there is none
		after      time.Duration
	}{
		{"no head", "POST /webhook HT", "400", 5 * time.Second},
		{"no body", "POST /webhook HTTP/1.1\r\nHost: s\r\nX-Gitea-Signature: " + sum + "\r\nContent-Length: 10\r\n\r\n{", "408", 10 * time.Second},
		{"nothing", "", "", 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(nil)
				conn, stop := r.dial(t)
				defer stop()
				begin := time.Now()
				if _, err := io.WriteString(conn, tt.sent); err != nil {
					t.Fatal(err)
				}
				line, _ := bufio.NewReader(conn).ReadString('\n')
				if !strings.Contains(line, tt.status) || tt.status == "" && line != "" {
					t.Errorf("answer %q, want %q", line, tt.status)
				}
				if took := time.Since(begin); took != tt.after {
					t.Errorf("after %s, want %s", took, tt.after)
				}
				if len(r.events()) != 0 {
					t.Error("something was taken")
				}
			})
		})
	}
}

// TestTooManyAtOnce: who gets no slot in time is told to come again, and others
// are served once one is free.
func TestTooManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(l *limits) { l.slots = 1 })
		slow, feed := io.Pipe()
		first := delivery("d-1", body(1, "queued"))
		first.Body = slow
		answers := make(chan int, 3)
		go func() { answers <- r.do(first).Code }()
		synctest.Wait()
		go func() { answers <- r.do(delivery("d-2", body(2, "queued"))).Code }()
		begin := time.Now()
		if got := <-answers; got != http.StatusServiceUnavailable || time.Since(begin) != r.limits.turn {
			t.Errorf("answer %d after %s", got, time.Since(begin))
		}
		go func() { answers <- r.do(delivery("d-3", body(3, "queued"))).Code }()
		synctest.Wait()
		if _, err := io.WriteString(feed, body(1, "queued")); err != nil {
			t.Fatal(err)
		}
		feed.Close()
		if a, b := <-answers, <-answers; a != http.StatusNoContent || b != http.StatusNoContent {
			t.Errorf("answers %d and %d", a, b)
		}
		if s := r.Stats(); s.Refused[ReasonBusy] != 1 || s.Accepted != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestShutdown: what is under way at the end is answered.
func TestShutdown(t *testing.T) {
	r := newRig(nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	r.take = func(e Event) { close(entered); <-leave; r.keep(e) }
	url, stop := r.listen(t)
	req := delivery("d-1", body(1, "queued"))
	status := make(chan int, 1)
	client := clientFor(t)
	go func() {
		out, _ := http.NewRequest(http.MethodPost, url, req.Body)
		out.Header = req.Header
		resp, err := client.Do(out)
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	close(leave)
	if got := <-status; got != http.StatusNoContent {
		t.Errorf("answer %d", got)
	}
	if err := <-ended; err != nil || len(r.events()) != 1 {
		t.Errorf("serve: %v, taken %v", err, r.events())
	}
}

// TestShutdownIsBounded: what hangs at the end is cut off.
func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		leave := make(chan struct{})
		r.take = func(Event) { <-leave }
		conn, stop := r.dial(t)
		req := delivery("d-1", body(1, "queued"))
		req.Host = "s"
		go func() { _ = req.Write(conn) }()
		synctest.Wait()
		begin := time.Now()
		stop()
		if took := time.Since(begin); took != r.limits.shutdown {
			t.Errorf("took %s", took)
		}
		close(leave)
	})
}
