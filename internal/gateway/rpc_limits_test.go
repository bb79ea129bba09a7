package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
)

// A hold is there only once no request for a job is under way.
func TestHoldWaitsForTheAnswer(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	rig := newFrontRig(t, rigOptions{upstream: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		w.Header().Set("Content-Type", "application/proto")
	})})
	runner := &runnerv1.Runner{Uuid: "a-1", Token: "t"}
	answered := make(chan error, 1)
	go func() {
		_, err := rig.runners(dialects[0]).FetchTask(t.Context(), as(runner, &runnerv1.FetchTaskRequest{}))
		answered <- err
	}()
	<-arrived
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := rig.gateway.hold(soon, runner.Uuid); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hold while the request is under way: %v", err)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := rig.gateway.hold(t.Context(), runner.Uuid); err != nil {
		t.Error(err)
	}
}

func TestSizeOfCalls(t *testing.T) {
	rig := newFrontRig(t, rigOptions{})
	packed := func(n int) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(bytes.Repeat([]byte{' '}, n))
		z.Close()
		return b.Bytes()
	}
	tests := []struct {
		call, encoding string
		body           []byte
		want           int
	}{
		{call: "Register", body: bytes.Repeat([]byte{' '}, maxCall+1), want: http.StatusRequestEntityTooLarge},
		{call: "Declare", body: bytes.Repeat([]byte{' '}, maxCall+1), want: http.StatusRequestEntityTooLarge},
		{call: "FetchTask", body: bytes.Repeat([]byte{' '}, maxCall+1), want: http.StatusRequestEntityTooLarge},
		{call: "Deregister", body: bytes.Repeat([]byte{' '}, maxDeregister+1), want: http.StatusRequestEntityTooLarge},
		// The protocol's own code for what is too large is resource_exhausted.
		{call: "Register", encoding: "gzip", body: packed(50 << 20), want: http.StatusTooManyRequests},
		{call: "Deregister", encoding: "gzip", body: packed(maxDeregister + 1), want: http.StatusTooManyRequests},
	}
	for _, tt := range tests {
		t.Run(tt.call+tt.encoding, func(t *testing.T) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, rig.url+service+tt.call, bytes.NewReader(tt.body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Runner-Uuid", "a-1")
			if tt.encoding != "" {
				req.Header.Set("Content-Encoding", tt.encoding)
			}
			resp, err := rig.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			answer, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.want || !strings.Contains(string(answer), `"resource_exhausted"`) {
				t.Errorf("%d %s", resp.StatusCode, answer)
			}
		})
	}
	if len(rig.upstream.take()) != 0 {
		t.Error("a call passed")
	}
}

func TestSlowClients(t *testing.T) {
	rig := newFrontRig(t, rigOptions{limits: func(l *limits) {
		l.header, l.body, l.idle = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	}})
	call := func(name string) string {
		return "POST " + service + name + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Runner-Uuid: a-1\r\nContent-Length: 10\r\n\r\n{"
	}
	tests := []struct{ name, sent, want string }{
		{"nothing", "", ""},
		{"half a head", "POST " + service + "Register HTTP/1.1\r\nHost:", ""},
		{"half a Register", call("Register"), "408"},
		{"half a Deregister", call("Deregister"), "408"},
		{"half a Declare", call("Declare"), "408"},
		{"half a FetchTask", call("FetchTask"), "408"},
		{"nothing after an answer", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", rig.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, tt.sent)
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			answer, err := io.ReadAll(conn) // until it is closed
			if errors.Is(err, context.DeadlineExceeded) || err != nil && strings.Contains(err.Error(), "timeout") {
				t.Fatal("the connection stays open")
			}
			if tt.want == "" && len(answer) != 0 || !strings.Contains(string(answer), tt.want) {
				t.Errorf("answer %q, want %s", answer, tt.want)
			}
		})
	}
	// What passes may take its time.
	conn, err := net.Dial("tcp", rig.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /api/actions/ping.v1.PingService/Ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{")
	time.Sleep(200 * time.Millisecond) // four times what a call may take
	fmt.Fprint(conn, `"data":"a"}`)
	answer, _ := io.ReadAll(conn)
	if !strings.Contains(string(answer), "Hello, a!") {
		t.Errorf("slow Ping: %q", answer)
	}
}

// The time for a call to arrive is none for the server to answer it.
func TestSlowServer(t *testing.T) {
	rig := newFrontRig(t, rigOptions{
		limits: func(l *limits) { l.body = 20 * time.Millisecond },
		upstream: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(200 * time.Millisecond) // of a server, which cannot be in a bubble
			w.Header().Set("Content-Type", "application/proto")
		}),
	})
	who := &runnerv1.Runner{Uuid: "a-1", Token: "t"}
	c := rig.runners(dialects[0])
	for _, version := range []int64{0, 1} { // without and with a body
		if _, err := c.FetchTask(t.Context(), as(who, &runnerv1.FetchTaskRequest{TasksVersion: version})); err != nil {
			t.Errorf("fetch: %v", err)
		}
	}
	if _, err := c.Declare(t.Context(), as(who, &runnerv1.DeclareRequest{Version: "v1"})); err != nil {
		t.Errorf("declare: %v", err)
	}
}

// A FetchTask ends in time, so that a runner can always be held.
func TestEndlessFetch(t *testing.T) {
	rig := newFrontRig(t, rigOptions{
		limits: func(l *limits) { l.fetch = 20 * time.Millisecond },
		upstream: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or net/http does not see the other end go away
			<-r.Context().Done()
		}),
	})
	who := &runnerv1.Runner{Uuid: "a-1", Token: "t"}
	_, err := rig.runners(dialects[0]).FetchTask(t.Context(), as(who, &runnerv1.FetchTaskRequest{TasksVersion: 1}))
	if err == nil {
		t.Error("it was answered")
	}
	if err := rig.gateway.hold(t.Context(), who.Uuid); err != nil {
		t.Error(err)
	}
}

func TestRetryAfterReachesTheRunner(t *testing.T) {
	rig := newFrontRig(t, rigOptions{config: func(c *Config) { c.PerToken = 1 }})
	rig.register(t, "r")
	for _, d := range dialects {
		_, err := rig.runners(d).Register(t.Context(), connect.NewRequest(&runnerv1.RegisterRequest{Name: "r", Token: rig.token.Reveal()}))
		var limited *connect.Error
		if !errors.As(err, &limited) || limited.Code() != connect.CodeResourceExhausted || limited.Meta().Get("Retry-After") == "" {
			t.Errorf("%s: %v", d.name, err)
		}
	}
}
