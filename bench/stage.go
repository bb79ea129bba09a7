package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/state"
)

const (
	configName = "scaler.yaml"
	jobLabel   = "bench"
	// lookEvery is how often a state is looked at that nobody tells of.
	lookEvery = 50 * time.Millisecond
)

// stage is one Gitea, with or without a daemon of its own, so that no daemon
// sees the jobs of another.
type stage struct {
	b      *bench
	dir    string
	id     string // the daemon's instance
	url    string
	token  string // for registrations
	gitea  *giteatest.Server
	web    *http.Server
	rpc    *http.Client
	events *events
	daemon *daemon
}

// events carries webhooks, unless they are held off.
type events struct{ off atomic.Bool }

func (e *events) RoundTrip(r *http.Request) (*http.Response, error) {
	if e.off.Load() {
		return nil, errors.New("events are held off")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// settings are what a stage's daemon is configured with, beside defaults.
type settings struct {
	pools      int    // pools, of which the first serves the jobs
	pool       string // settings of each, as "min: 1, max: 2"
	limits     string
	webhook    bool
	pollActive time.Duration // 0 for the default
	engine     string        // socket of the engine; empty: the machine's
	image      string
	network    string
	debugLog   bool
}

// newStage serves a Gitea at an address of this machine.
func (b *bench) newStage(name, ip string) (*stage, error) {
	s := &stage{b: b, dir: filepath.Join(b.dir, name), token: rand.Text() + rand.Text(), rpc: &http.Client{Timeout: 10 * time.Second}, events: &events{}}
	apiToken := rand.Text()
	store, err := state.Open(filepath.Join(s.dir, "state")) // makes the instance id
	if err != nil {
		return nil, err
	}
	s.id = store.Instance()
	if err := store.Close(); err != nil {
		return nil, fmt.Errorf("close state: %w", err)
	}
	for name, content := range map[string]string{"api-token": apiToken, "registration-token": s.token} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen for Gitea: %w", err)
	}
	s.url = "http://" + ln.Addr().String()
	s.gitea = giteatest.New(giteatest.Options{APIToken: apiToken, RegistrationToken: s.token, HookClient: &http.Client{Transport: s.events}})
	s.web = &http.Server{Handler: s.gitea, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = s.web.Serve(ln) }()
	return s, nil
}

// close ends the daemon, whatever it is doing, and the Gitea.
func (s *stage) close() {
	if s.daemon != nil {
		s.daemon.kill()
	}
	_ = s.web.Close() // nobody waits for an answer any more
	s.gitea.Close()
}

// run starts the stage's daemon.
func (s *stage) run(ctx context.Context, set settings) (err error) {
	set.debugLog = s.b.opts.keep
	text := s.config(set)
	if set.webhook {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("find a port for the webhook: %w", err)
		}
		addr, secret := ln.Addr().String(), rand.Text()
		if err := errors.Join(ln.Close(), os.WriteFile(filepath.Join(s.dir, "webhook-secret"), []byte(secret), 0o600)); err != nil {
			return fmt.Errorf("prepare the webhook: %w", err)
		}
		text += fmt.Sprintf("webhook: {listen: %q, public_url: \"http://%s\", secret: {file: webhook-secret}}\n", addr, addr)
		s.gitea.AddHook("http://"+addr+"/webhook", secret)
	}
	if err := os.WriteFile(filepath.Join(s.dir, configName), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration of the daemon: %w", err)
	}
	s.daemon, err = startDaemon(ctx, s.b.opts.scaler, s.dir)
	return err
}

// config is the daemon's configuration but for the webhook.
func (s *stage) config(set settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, "gitea: {url: %q, api_token: {file: api-token}}\n", s.url)
	b.WriteString("registration_tokens:\n  - {name: instance, scope: instance, token: {file: registration-token}}\npools:\n")
	for i := range max(set.pools, 1) {
		label := jobLabel
		if i > 0 {
			label += strconv.Itoa(i)
		}
		fmt.Fprintf(&b, "  - {name: %s, registration_token: instance, labels: [\"%s:host\"], image: %q, %s, container: {pull: never, network: %s}}\n",
			label, label, set.image, set.pool, set.network)
	}
	fmt.Fprintf(&b, "limits: {%s}\nstate_dir: %s\ncontrol_socket: %s\n", set.limits, filepath.Join(s.dir, "state"), filepath.Join(s.dir, "c.sock"))
	if set.engine != "" {
		fmt.Fprintf(&b, "docker: {host: \"unix://%s\"}\n", set.engine)
	}
	if set.pollActive > 0 {
		fmt.Fprintf(&b, "poll_active: %s\n", set.pollActive)
	}
	if set.debugLog {
		b.WriteString("log: {level: debug}\n")
	}
	return b.String()
}

// queue adds jobs, each of which takes some time.
func (s *stage) queue(count int, takes time.Duration) []int64 {
	return s.gitea.AddJobs(giteatest.JobSpec{Labels: []string{jobLabel}, Duration: takes, Count: count})
}

// await waits until the Gitea's state is as wanted.
func (s *stage) await(ctx context.Context, wanted func() bool) error {
	for {
		changed := s.gitea.Changed()
		if wanted() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ended():
			return errors.New("the daemon has ended: " + tail(filepath.Join(s.dir, "daemon.log")))
		}
	}
}

// ended is closed when the daemon has ended; nil without one.
func (s *stage) ended() <-chan struct{} {
	if s.daemon == nil {
		return nil
	}
	return s.daemon.exited
}

// started waits until the jobs have runners and returns how long after its
// being queued the last one got it.
func (s *stage) started(ctx context.Context, jobs []int64) (last time.Duration, err error) {
	for _, id := range jobs {
		var j giteatest.JobState
		if err := s.await(ctx, func() bool { j, _ = s.gitea.Job(id); return !j.StartedAt.IsZero() }); err != nil {
			return 0, fmt.Errorf("wait for job %d to get a runner: %w", id, err)
		}
		last = max(last, j.StartedAt.Sub(j.QueuedAt))
	}
	return last, nil
}

// end has the jobs end at once: a user cancels them, and their runners, which
// are ephemeral, exit at their next sign of life.
func (s *stage) end(jobs []int64) error {
	var errs []error
	for _, id := range jobs {
		errs = append(errs, s.gitea.CancelJob(id))
	}
	return errors.Join(errs...)
}

// empty waits until neither side has anything of the daemon's.
func (s *stage) empty(ctx context.Context) error { return s.rest(ctx, 0) }

// rest waits until both sides have just so many of the daemon's, and none of them
// has been started.
func (s *stage) rest(ctx context.Context, runners int) error {
	for {
		ids, err := s.b.engine.list(ctx, docker.LabelInstance+"="+s.id, false)
		if err != nil {
			return err
		}
		registered := s.gitea.State().Runners
		online := slices.ContainsFunc(registered, func(r giteatest.RunnerState) bool { return r.Online })
		if len(ids) == runners && len(registered) == runners && !online {
			return nil
		}
		if err := pause(ctx, lookEvery); err != nil {
			return fmt.Errorf("wait for %d containers to become %d: %w", len(ids), runners, err)
		}
	}
}

// enrol registers a runner by the plain call of the protocol, and returns the
// content of its .runner file.
func (s *stage) enrol(ctx context.Context, name string, ephemeral bool) (plan.Identity, error) {
	var made struct {
		Runner struct {
			ID    int64 `json:",string"`
			UUID  string
			Token string
		}
	}
	labels := []string{jobLabel + ":host"}
	err := s.call(ctx, "Register", map[string]any{"name": name, "token": s.token, "labels": []string{jobLabel}, "ephemeral": ephemeral}, nil, &made)
	return plan.Identity{ID: made.Runner.ID, UUID: made.Runner.UUID, Name: name, Token: plan.Secret(made.Runner.Token),
		Address: s.url, Labels: labels, Ephemeral: ephemeral}, err
}

// call makes one call of the runners' protocol, in its JSON form.
func (s *stage) call(ctx context.Context, method string, in any, as *plan.Identity, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode %s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/actions/runner.v1.RunnerService/"+method, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if as != nil {
		req.Header.Set("X-Runner-Uuid", as.UUID)
		req.Header.Set("X-Runner-Token", as.Token.Reveal())
	}
	resp, err := s.rpc.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("read answer to %s: %w", method, err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("call %s: %s: %s", method, resp.Status, data)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("decode answer to %s: %w", method, err)
	}
	return nil
}

// byHand starts a container for a registered runner, in the three calls that
// it takes. The container's id comes beside an error, too.
func (s *stage) byHand(ctx context.Context, id plan.Identity) (container string, err error) {
	dotRunner, err := register.DotRunner(id)
	if err != nil {
		return "", err
	}
	container, err = s.b.engine.create(ctx, id.Name, s.b.image, s.b.host.network)
	if err == nil {
		err = s.b.engine.put(ctx, container, "/data/"+register.DotRunnerName, dotRunner)
	}
	if err == nil {
		err = s.b.engine.start(ctx, container)
	}
	return container, err
}
