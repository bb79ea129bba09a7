package pool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/enginetest"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/giteatest"
	demorunner "scaler.io/scaler/internal/giteatest/runner"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/state"
)

const (
	registrationToken = "registration-token-0123456789abcdef"
	apiToken          = "api-token-0123456789abcdef0123456789"
)

var instanceScope = plan.Scope{Kind: plan.ScopeInstance}

// rig is a whole daemon in virtual time: the real client, registrar and
// store, against the in-memory Gitea and the in-memory engine, in whose
// containers the small runner speaks the real protocol.
type rig struct {
	t       *testing.T
	gitea   *giteatest.Server
	engine  *enginetest.Engine
	store   *state.Store
	dir     string
	log     *lockedBuffer
	config  Config
	token   atomic.Value // what the token file has, a string
	mint    bool         // it has none: the server is asked
	journal *notebook

	m    *Manager
	stop func() // ends the daemon and waits for it
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// notebook is a journal that keeps all.
type notebook struct {
	mu     sync.Mutex
	events []plan.Event
}

func (n *notebook) Add(e plan.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
}

// of returns the events of a kind so far.
func (n *notebook) of(kind plan.EventKind) (list []plan.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

func (l *lockedBuffer) count(s string) int { return strings.Count(l.String(), s) }

// newRig makes a rig with one pool, "linux", that changes may alter. Call it
// in a synctest bubble.
func newRig(t *testing.T, serverOpts giteatest.Options, change ...func(*Config)) *rig {
	t.Helper()
	serverOpts.RegistrationToken, serverOpts.APIToken = registrationToken, apiToken
	r := &rig{t: t, gitea: giteatest.New(serverOpts), dir: t.TempDir(), log: &lockedBuffer{}, journal: &notebook{}}
	r.token.Store(registrationToken)
	r.engine = enginetest.New(r.process)
	r.engine.CreateTime, r.engine.StartTime = 70*time.Millisecond, 170*time.Millisecond
	r.config = Config{
		Version: "test",
		Spec: plan.Spec{DrainSettle: 10 * time.Second, Pools: []plan.Pool{{
			Name: "linux", Scope: instanceScope, Labels: []string{"linux"}, Max: 10,
			IdleTimeout: 5 * time.Minute, BootTimeout: 2 * time.Minute, ShutdownTimeout: time.Hour,
		}}},
		Pools: map[string]Options{"linux": {
			Token: "instance", Labels: []plan.Label{{Name: "linux", Schema: "host"}}, Ephemeral: true, DataDir: "/data",
			RunnerConfig: func(runner string) ([]byte, error) { return []byte("runner: {} # of " + runner + "\n"), nil },
		}},
		Pace: Pace{Polls: plan.Polls{Usual: time.Second}}, ParallelStarts: 4, ShutdownTimeout: 10 * time.Minute,
	}
	for _, c := range change {
		c(&r.config)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the daemon:\n%s", r.log)
		}
	})
	return r
}

// process runs the small runner with the files of a container.
func (r *rig) process(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
	dir, err := os.MkdirTemp(r.dir, "container")
	if err != nil {
		return 99
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o600); err != nil {
			return 99
		}
	}
	stop, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() {
		defer cancel()
		command := strings.Fields(string(files[enginetest.CommandFile]))
		handle := ""
		if i := slices.Index(command, "--handle"); i >= 0 {
			handle = command[i+1]
		}
		code <- demorunner.Run(stop, demorunner.Options{
			OneJob: slices.Contains(command, "one-job"), Wait: slices.Contains(command, "--wait"), Handle: handle,
			Dir: dir, Logger: slog.New(slog.NewTextHandler(printer{r.engine, string(files[enginetest.IDFile])}, nil)), Client: &http.Client{Transport: mortal{r.gitea.Client().Transport, ctx}},
		})
	}()
	select {
	case <-term:
		cancel()
	case c := <-code:
		return c
	case <-ctx.Done():
		cancel()
		return 137
	}
	select {
	case c := <-code:
		return c
	case <-ctx.Done():
		return 137
	}
}

// printer writes into the log of a container what the daemon listens for.
type printer struct {
	engine    *enginetest.Engine
	container string
}

func (p printer) Write(line []byte) (int, error) {
	if l := strings.TrimSuffix(string(line), "\n"); taskLine.MatchString(l) || onlineLine.MatchString(l) {
		p.engine.Print(p.container, l)
	}
	return len(line), nil
}

// mortal is a transport that is dead once its process has been killed.
type mortal struct {
	http.RoundTripper
	life context.Context
}

func (m mortal) RoundTrip(req *http.Request) (*http.Response, error) {
	if m.life.Err() != nil {
		return nil, errors.New("the process was killed")
	}
	return m.RoundTripper.RoundTrip(req)
}

// run starts the daemon. Several runs in turn are restarts on the same state.
func (r *rig) run(change ...func(*Ports)) {
	r.t.Helper()
	r.build(change...)
	r.stop = r.start(r.m.Run)
}

// start runs what belongs to the rig's store until stop is called.
func (r *rig) start(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
		r.store.Close()
	}
}

// build makes the daemon, which does not run yet.
func (r *rig) build(change ...func(*Ports)) {
	r.t.Helper()
	store, err := state.Open(filepath.Join(r.dir, "state"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.store = store
	log := slog.New(slog.NewTextHandler(io.MultiWriter(r.log), &slog.HandlerOptions{Level: slog.LevelInfo}))
	client := r.client()
	token := register.Token{Name: "instance", Scope: instanceScope, Read: func() (plan.Secret, error) {
		value, _ := r.token.Load().(string)
		if value == "" {
			return "", errors.New("open token file: no such file or directory")
		}
		return plan.Secret(value), nil
	}}
	if r.mint {
		token.Read = nil
	}
	registrar := register.New(client, client, []register.Token{token}, 600)
	r.config.Instance = store.Instance()
	ports := Ports{Engine: r.engine, Images: r.engine, Inspector: r.engine, Sweeper: r.engine, Forge: client, Registrar: registrar, Voice: client, Store: store, History: store, Journal: r.journal, Follower: r.engine}
	for _, c := range change {
		c(&ports)
	}
	r.m = New(r.config, ports, log)
}

// client returns a client of the in-memory Gitea.
func (r *rig) client() *gitea.Client {
	r.t.Helper()
	client, err := gitea.New(gitea.Options{
		URL: giteatest.BaseURL, Token: func() (plan.Secret, error) { return apiToken, nil }, Labels: func() []string { return []string{"linux"} },
		Transport: r.gitea.Client().Transport, Logger: slog.New(slog.DiscardHandler),
		RetryWaitMin: 100 * time.Millisecond, RetryWaitMax: time.Second,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return client
}

// after lets virtual time pass.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// queue adds jobs for the pool.
func (r *rig) queue(n int, d time.Duration) []int64 {
	return r.gitea.AddJobs(giteatest.JobSpec{Count: n, Labels: []string{"linux"}, Duration: d})
}

// only returns the phase of the one runner that the daemon has.
func (r *rig) only() plan.RunnerStatus {
	r.t.Helper()
	runners := r.m.Status().Runners
	if len(runners) != 1 {
		r.t.Fatalf("the daemon has %d runners, want 1: %+v", len(runners), runners)
	}
	return runners[0]
}

// problem returns the message of an open problem, empty if there is none.
func (r *rig) problem(subject string) string {
	for _, p := range r.m.Status().Problems {
		if p.Subject == subject {
			return p.Message
		}
	}
	return ""
}

// wantDone waits until so many jobs have succeeded, which is to be within a time,
// and a while more for what should not come after.
func (r *rig) wantDone(jobs int, within time.Duration) {
	r.t.Helper()
	for began := time.Now(); time.Since(began) < within && r.gitea.State().Jobs[giteatest.StatusSuccess] < jobs; {
		r.after(time.Minute)
	}
	r.after(10 * time.Minute)
	r.wantJobs(giteatest.StatusSuccess, jobs)
}

// wantJobs checks how many jobs are in each state.
func (r *rig) wantJobs(status string, n int) {
	r.t.Helper()
	if got := r.gitea.State().Jobs; got[status] != n {
		r.t.Errorf("jobs by status = %v, want %d %s", got, n, status)
	}
}

// wantNothingLeft checks that no runner is left in Gitea, no container on the
// engine and no record in the state, and that none of ours was leaked before.
func (r *rig) wantNothingLeft() {
	r.t.Helper()
	s := r.gitea.State()
	if len(s.Runners) > 0 {
		r.t.Errorf("left in Gitea: %+v", s.Runners)
	}
	containers, err := r.engine.List(context.Background())
	if err != nil || len(containers) > 0 {
		r.t.Errorf("left on the engine: %v, %v", containers, err)
	}
	store, err := state.OpenReadOnly(filepath.Join(r.dir, "state"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer store.Close()
	records, err := store.Records()
	if err != nil || len(records) > 0 {
		r.t.Errorf("left in the state: %v, %v", records, err)
	}
	if shown := r.log.String(); strings.Contains(shown, registrationToken) || strings.Contains(shown, apiToken) {
		r.t.Error("a token is in the log")
	}
}

// killAll ends what a test leaves running, and lets the killed runners find
// that out.
func (r *rig) killAll() {
	r.engine.KillAll()
	time.Sleep(3 * time.Hour)
}

// sole changes the one pool of a configuration.
func sole(change func(*plan.Pool)) func(*Config) {
	return func(c *Config) { change(&c.Spec.Pools[0]) }
}

func persistent(c *Config) {
	for name, o := range c.Pools {
		o.Ephemeral = false
		c.Pools[name] = o
	}
}

// kill kills a container.
func (r *rig) kill(container string) {
	if err := r.engine.Signal(context.Background(), container, "SIGKILL"); err != nil {
		r.t.Fatal(err)
	}
}

// delete deletes a runner in Gitea, as somebody would in the web page.
func (r *rig) delete(id int64) {
	if err := r.client().DeleteRunner(context.Background(), instanceScope, id); err != nil {
		r.t.Fatal(err)
	}
}

// disable disables a runner in Gitea.
func (r *rig) disable(id int64) {
	if err := r.client().SetRunnerDisabled(context.Background(), instanceScope, id, true); err != nil {
		r.t.Fatal(err)
	}
}

// register registers a runner that never comes online.
func (r *rig) register(name string) {
	if _, err := r.client().Register(context.Background(), registrationToken, plan.Registration{Name: name}); err != nil {
		r.t.Fatal(err)
	}
}

// preset is a store whose records were changed while no daemon ran.
type preset struct {
	store
	records []state.Record
}

func (p *preset) Records() ([]state.Record, error) { return p.records, nil }
