package runner_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	"connectrpc.com/connect"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/giteatest/runner"
)

// bench is a server and a runner that is registered there. It is used within a
// synctest bubble, where the runner's waits take no time.
type bench struct {
	server *giteatest.Server
	id     *runnerv1.Runner
	opts   runner.Options
	log    *lines
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newBench(t *testing.T, ephemeral bool) *bench {
	t.Helper()
	b := &bench{
		server: giteatest.New(giteatest.Options{RegistrationToken: "token", APIToken: "api-token"}),
		log:    &lines{},
	}
	rpc := runnerv1connect.NewRunnerServiceClient(b.server.Client(), giteatest.BaseURL+"/api/actions")
	resp, err := rpc.Register(t.Context(), connect.NewRequest(&runnerv1.RegisterRequest{
		Name: "r1", Token: "token", Ephemeral: ephemeral,
	}))
	if err != nil {
		t.Fatal(err)
	}
	b.id = resp.Msg.Runner
	dir := t.TempDir()
	writeRegistration(t, dir, map[string]any{
		"WARNING": "generated", "id": b.id.Id, "uuid": b.id.Uuid, "name": b.id.Name, "token": b.id.Token,
		"address": giteatest.BaseURL + "/", "labels": []string{"linux:host", "ubuntu:docker://image:tag"}, "ephemeral": ephemeral,
	})
	b.opts = runner.Options{Dir: dir, Client: b.server.Client(), Logger: slog.New(slog.NewTextHandler(b.log, nil))}
	return b
}

// writeRegistration writes a .runner file.
func writeRegistration(t *testing.T, dir string, content any) {
	t.Helper()
	data, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".runner"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs the runner until ctx ends; the exit code comes on the channel.
func (b *bench) start(ctx context.Context) <-chan int {
	exit := make(chan int, 1)
	go func() { exit <- runner.Run(ctx, b.opts) }()
	return exit
}

// status returns a job's status.
func (b *bench) status(t *testing.T, id int64) string {
	t.Helper()
	j, ok := b.server.Job(id)
	if !ok {
		t.Fatalf("no job %d", id)
	}
	return j.Status
}

func TestEphemeral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, true)
		ids := b.server.AddJobs(giteatest.JobSpec{Labels: []string{"linux", "ubuntu"}, Duration: 42 * time.Second, Count: 2})
		start := time.Now()
		if code := <-b.start(t.Context()); code != runner.ExitOK {
			t.Errorf("exit code %d: %s", code, b.log)
		}
		if took := time.Since(start); took != 42*time.Second {
			t.Errorf("took %s", took)
		}
		if a, c := b.status(t, ids[0]), b.status(t, ids[1]); a != giteatest.StatusSuccess || c != giteatest.StatusQueued {
			t.Errorf("jobs are %s and %s", a, c)
		}
		st := b.server.State()
		if len(st.Runners) != 0 || st.Counts.EphemeralDeletions != 1 || st.Counts.Calls["UpdateLog"] < 2 {
			t.Errorf("state %+v", st)
		}
	})
}

func TestPersistent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, false)
		ctx, cancel := context.WithCancel(t.Context())
		exit := b.start(ctx)
		time.Sleep(time.Minute)
		if calls := b.server.State().Counts.Calls["FetchTask"]; calls != 31 && calls != 30 {
			t.Errorf("%d fetches in an idle minute, want one at once and one each 2 s", calls)
		}
		ids := b.server.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}, Duration: time.Minute, Count: 2})
		time.Sleep(2*time.Minute + 3*time.Second) // the first may wait for a poll
		for _, id := range ids {
			if s := b.status(t, id); s != giteatest.StatusSuccess {
				t.Errorf("job is %s", s)
			}
		}
		cancel()
		if code := <-exit; code != runner.ExitOK {
			t.Errorf("exit code %d: %s", code, b.log)
		}
		if n := len(b.server.State().Runners); n != 1 {
			t.Errorf("%d runners", n)
		}
	})
}

func TestShutdown(t *testing.T) {
	tests := []struct {
		name    string
		job     time.Duration // 0: idle
		timeout time.Duration
		after   time.Duration // from the signal to the exit
		want    string
	}{
		{"idle", 0, time.Hour, 0, ""},
		{"job finishes", 30 * time.Minute, time.Hour, 29 * time.Minute, giteatest.StatusSuccess},
		{"job is cut off", 30 * time.Minute, 10 * time.Minute, 10 * time.Minute, giteatest.StatusCancelled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, false)
				b.opts.ShutdownTimeout = tt.timeout
				var ids []int64
				if tt.job != 0 {
					ids = b.server.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}, Duration: tt.job, Count: 2})
				}
				ctx, cancel := context.WithCancel(t.Context())
				exit := b.start(ctx)
				time.Sleep(time.Minute)
				start := time.Now()
				cancel()
				if code := <-exit; code != runner.ExitOK {
					t.Errorf("exit code %d: %s", code, b.log)
				}
				if took := time.Since(start); took != tt.after {
					t.Errorf("exit after %s, want %s", took, tt.after)
				}
				if ids != nil {
					if a, c := b.status(t, ids[0]), b.status(t, ids[1]); a != tt.want || c != giteatest.StatusQueued {
						t.Errorf("jobs are %s and %s", a, c)
					}
				}
			})
		})
	}
}

func TestDeadRegistration(t *testing.T) {
	t.Run("at the start", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, true)
			remove(t, b)
			code := <-b.start(t.Context())
			if code != runner.ExitFailed || !strings.Contains(b.log.String(), "the server does not know this runner") {
				t.Errorf("exit code %d: %s", code, b.log)
			}
		})
	})
	t.Run("while idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, true)
			exit := b.start(t.Context())
			time.Sleep(time.Minute)
			remove(t, b)
			if code := <-exit; code != runner.ExitFailed {
				t.Errorf("exit code %d: %s", code, b.log)
			}
		})
	})
}

// remove deletes the runner at the server, as an administrator does.
func remove(t *testing.T, b *bench) {
	t.Helper()
	b.server.AddAPIToken("admin", giteatest.APIUser{Login: giteatest.AdminLogin, Admin: true})
	req, err := http.NewRequest(http.MethodDelete, giteatest.BaseURL+"/api/v1/admin/actions/runners/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token admin")
	resp, err := b.server.Client().Do(req)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%v, %v", resp, err)
	}
}

func TestCancelledJob(t *testing.T) {
	for _, ephemeral := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, ephemeral)
			ids := b.server.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}, Duration: time.Hour})
			ctx, cancel := context.WithCancel(t.Context())
			exit := b.start(ctx)
			time.Sleep(time.Minute + time.Second)
			start := time.Now()
			if err := b.server.CancelJob(ids[0]); err != nil {
				t.Fatal(err)
			}
			if !ephemeral {
				time.Sleep(10 * time.Second)
				cancel()
			}
			if code := <-exit; code != runner.ExitOK {
				t.Errorf("exit code %d: %s", code, b.log)
			}
			cancel()
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("ephemeral %v: stopped %s after the cancel", ephemeral, took)
			}
		})
	}
}
