package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/giteatest/runner"
)

func TestAnswersStream(t *testing.T) {
	next := make(chan struct{})
	rig := newFrontRig(t, rigOptions{upstream: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "15") // with a length, the proxy would otherwise wait for more
		for range 3 {
			fmt.Fprintln(w, "line")
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})})
	resp, err := rig.client.Get(rig.url + "/api/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for range 3 {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		next <- struct{}{} // the server writes no more until the line has come
	}
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := gone.Addr().String()
	gone.Close()
	rig := newFrontRig(t, rigOptions{config: func(c *Config) {
		c.Upstream = &url.URL{Scheme: "http", Host: address, User: url.UserPassword("u", "hidden")}
	}})
	who := &runnerv1.Runner{Uuid: "a-1", Token: "t"}
	for _, d := range dialects {
		_, err := rig.runners(d).FetchTask(t.Context(), as(who, &runnerv1.FetchTaskRequest{}))
		if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "not the runner's fault") || strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", d.name, err)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, rig.url+service+"UpdateLog", nil)
	req.Header.Set("Content-Type", "application/proto")
	resp, err := rig.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct{ Code, Message string }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusBadGateway || body.Code != "unavailable" || body.Message == "" {
		t.Errorf("%s %v, %v", resp.Status, body, err)
	}
	if status, text := rig.get(t, rig.url+"/api/v1/version"); status != http.StatusBadGateway || strings.HasPrefix(text, "{") {
		t.Errorf("not a call: %d %s", status, text)
	}
	if status, _ := rig.get(t, rig.url+"/healthz"); status != http.StatusOK {
		t.Error("the gateway itself is not healthy")
	}
	log := rig.log.String()
	if n := strings.Count(log, "server does not answer the gateway"); n != 1 || strings.Contains(log, "hidden") {
		t.Errorf("logged %d times: %s", n, log)
	}
}

func TestServerThatAnswersAgain(t *testing.T) {
	var broken atomic.Bool
	rig := newFrontRig(t, rigOptions{upstream: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
	})})
	for _, state := range []bool{false, true, true, false, false, true, false} {
		broken.Store(state)
		want := http.StatusOK
		if state {
			want = http.StatusBadGateway
		}
		if status, _ := rig.get(t, rig.url+"/api/v1/version"); status != want {
			t.Errorf("%d, want %d", status, want)
		}
	}
	log := rig.log.String()
	if strings.Count(log, "does not answer the gateway") != 2 || strings.Count(log, "answers the gateway again") != 2 {
		t.Errorf("logged: %s", log)
	}
}

// A client that goes away, or sends what is no HTTP, is not the server's fault.
func TestClientThatBreaksOff(t *testing.T) {
	arrived := make(chan struct{}, 2)
	rig := newFrontRig(t, rigOptions{upstream: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})})
	const head = "PUT /api/v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
	for name, rest := range map[string]string{"goes away": "", "broken chunk": "zz\r\n"} {
		conn, err := net.Dial("tcp", rig.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, head)
		<-arrived
		fmt.Fprint(conn, rest)
		if rest != "" {
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %v, %v", name, resp, err)
			}
		}
		conn.Close()
	}
	if err := rig.stop(); err != nil { // both handlers are done
		t.Error(err)
	}
	if log := rig.log.String(); strings.Contains(log, "does not answer") {
		t.Errorf("logged: %s", log)
	}
}

// fill is a body of n bytes that takes no memory.
type fill struct{ n int64 }

// Read implements io.Reader.
func (f *fill) Read(p []byte) (int, error) {
	if f.n == 0 {
		return 0, io.EOF
	}
	n := int(min(f.n, int64(len(p))))
	f.n -= int64(n)
	return n, nil
}

const artifact = 100 << 20

// drain reads a body to its end and returns its size, and how much memory was
// in use shortly before the end.
func drain(body io.Reader) (size int64, inUse uint64) {
	size, _ = io.CopyN(io.Discard, body, artifact*9/10)
	inUse = memoryInUse()
	rest, _ := io.Copy(io.Discard, body)
	return size + rest, inUse
}

func memoryInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestLargeBodiesTakeNoMemory(t *testing.T) {
	type half struct {
		size  int64
		inUse uint64
	}
	up := make(chan half, 1)
	rig := newFrontRig(t, rigOptions{upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, inUse := drain(r.Body)
		up <- half{size, inUse}
		_, _ = io.Copy(w, &fill{n: artifact})
	})})
	for name, client := range map[string]*http.Client{"HTTP/1.1": rig.client, "HTTP/2": rig.h2c} {
		before := memoryInUse()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut,
			rig.url+"/twirp/github.actions.results.api.v1.ArtifactService/UploadArtifact?sig=x", &fill{n: artifact})
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		size, inUse := drain(resp.Body)
		resp.Body.Close()
		for what, got := range map[string]half{"up": <-up, "down": {size, inUse}} {
			// The client and the server of the test are in it.
			if got.size != artifact || got.inUse > before+8<<20 {
				t.Errorf("%s %s: %d bytes, %d MB more in use", name, what, got.size, (got.inUse-before)>>20)
			}
		}
	}
}

// A runner that knows nothing of the gateway registers, works and leaves.
func TestRunnerThroughTheGateway(t *testing.T) {
	rig := newFrontRig(t, rigOptions{config: func(c *Config) { c.PublicURL += "/gw" }})
	r := rig.register(t, "r")
	dir := t.TempDir()
	data, err := json.Marshal(map[string]any{
		"id": r.Id, "uuid": r.Uuid, "name": r.Name, "token": r.Token, "address": rig.url, "labels": []string{"linux:host"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".runner"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	ids := rig.gitea.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}, Duration: 10 * time.Millisecond, Count: 3})
	ctx, cancel := context.WithCancel(t.Context())
	exit := make(chan int, 1)
	go func() {
		exit <- runner.Run(ctx, runner.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), FetchInterval: 5 * time.Millisecond})
	}()
	for _, id := range ids {
		for {
			changed := rig.gitea.Changed()
			if j, ok := rig.gitea.Job(id); ok && j.Status == giteatest.StatusSuccess {
				break
			}
			select {
			case <-changed:
			case code := <-exit:
				t.Fatalf("the runner ended with %d", code)
			}
		}
	}
	cancel()
	if code := <-exit; code != runner.ExitOK {
		t.Errorf("exit code %d", code)
	}
	passed := map[string]int{}
	for _, seen := range rig.upstream.take() {
		passed[seen.URL.Path]++
	}
	if passed[service+"FetchTask"] < 3 || passed[service+"UpdateTask"] == 0 || passed[service+"UpdateLog"] == 0 || passed[service+"Register"] != 0 {
		t.Errorf("passed: %v", passed)
	}
}

func TestOverTLS(t *testing.T) {
	files := newTLSFiles(t)
	rig := newFrontRig(t, rigOptions{tls: &files})
	for _, h2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("https://" + rig.addr + "/api/v1/version")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || (resp.ProtoMajor == 2) != h2 {
			t.Errorf("%s by %s, want HTTP/2: %t", resp.Status, resp.Proto, h2)
		}
	}
	if conn, err := net.Dial("tcp", rig.addr); err == nil { // anybody can do that
		fmt.Fprint(conn, "rubbish\n")
		_, _ = io.ReadAll(conn)
		conn.Close()
	}
	if log := rig.log.String(); !strings.Contains(log, "level=DEBUG") || strings.Contains(log, "level=WARN") {
		t.Errorf("logged: %s", log)
	}
}

// The handler works without a
// listener of its own.
func TestHandler(t *testing.T) {
	rig := newFrontRig(t, rigOptions{})
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, service+"FetchTask", strings.NewReader("{}"))
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Runner-Uuid", "a-1")
	rig.gateway.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "unregistered runner") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
