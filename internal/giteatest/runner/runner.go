// Package runner is a small Gitea runner: it speaks the real protocol from a
// .runner file and, in place of a workflow, waits for as long as the job says.
//
// It lets the demo and the tests show real registration, polling and reporting
// without a runner image. It keeps the promises of the real runner that others
// build on: an ephemeral one exits 0 after one job, a dead registration exits
// 1, and SIGTERM stops the polling and lets the job in hand finish. The
// invariant that it protects: a job that was taken is reported, however often
// the report must be sent.
package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	"connectrpc.com/connect"
)

// Exit codes of Run.
const (
	ExitOK     = 0 // its job is done, or it was told to stop
	ExitFailed = 1 // no usable .runner, or the server does not know the runner
	ExitNoTask = 2 // it was to take a job at once, and there was none for it
)

const (
	// DefaultFetchInterval is the real runner's runner.fetch_interval.
	DefaultFetchInterval = 2 * time.Second
	// DefaultShutdownTimeout is how long a job may run after SIGTERM.
	DefaultShutdownTimeout = time.Hour
	// ShutdownTimeoutEnv is an environment variable with a duration that
	// overrides DefaultShutdownTimeout.
	ShutdownTimeoutEnv = "SCALER_DEMO_SHUTDOWN_TIMEOUT"

	version     = "demo"
	callTimeout = 5 * time.Second // the real runner's runner.fetch_timeout
)

// errNoTask: there was no job for a runner that waits for none.
var errNoTask = errors.New("no task received")

// errUnregistered: the server does not know this runner (any more).
var errUnregistered = errors.New("the server does not know this runner: it was deleted, or never registered")

// Options say how Run works. Only Dir is required.
type Options struct {
	Dir             string        // has .runner
	Logger          *slog.Logger  // default: slog.Default
	FetchInterval   time.Duration // default DefaultFetchInterval
	ShutdownTimeout time.Duration // default: ShutdownTimeoutEnv, DefaultShutdownTimeout
	Client          *http.Client  // default: http.DefaultClient
	// OneJob is Forgejo's one-job mode: it ends after one job, and Wait says that
	// it waits for one. With a Handle only the job that has it will do.
	OneJob, Wait bool
	Handle       string
}

// registration is what is needed of a .runner file.
type registration struct {
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	Token     string   `json:"token"`
	Address   string   `json:"address"`
	Labels    []string `json:"labels"`
	Ephemeral bool     `json:"ephemeral"`
}

// runner is a running Run.
type runner struct {
	opts Options
	reg  registration
	rpc  runnerv1connect.RunnerServiceClient
	log  *slog.Logger
	// seen is the tasks version of the last answer without a job.
	seen int64
}

// Run works until its job is done (if ephemeral), ctx ends or the server
// disowns it, and returns an exit code. When ctx ends, a job in hand may run on
// for Options.ShutdownTimeout and is cancelled then.
func Run(ctx context.Context, opts Options) (exitCode int) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	r, err := newRunner(opts)
	if err != nil {
		opts.Logger.Error("runner not started", "err", err)
		return ExitFailed
	}
	err = r.run(ctx)
	switch {
	case err == nil, ctx.Err() != nil && !errors.Is(err, errUnregistered):
		r.log.Info("runner stopped")
		return ExitOK
	case errors.Is(err, errNoTask):
		r.log.Info("runner stopped", "err", err)
		return ExitNoTask
	default:
		r.log.Error("runner stopped", "err", err)
		return ExitFailed
	}
}

// newRunner reads the .runner file and completes the options.
func newRunner(opts Options) (*runner, error) {
	if opts.FetchInterval <= 0 {
		opts.FetchInterval = DefaultFetchInterval
	}
	if opts.ShutdownTimeout <= 0 {
		timeout, err := envTimeout()
		if err != nil {
			return nil, err
		}
		opts.ShutdownTimeout = timeout
	}
	if opts.Client == nil {
		opts.Client = http.DefaultClient
	}
	reg, err := load(filepath.Join(opts.Dir, ".runner"))
	if err != nil {
		return nil, err
	}
	r := &runner{opts: opts, reg: reg, log: opts.Logger.With("runner", reg.Name)}
	r.rpc = runnerv1connect.NewRunnerServiceClient(opts.Client,
		strings.TrimRight(reg.Address, "/")+"/api/actions", connect.WithInterceptors(r.identify()))
	return r, nil
}

// envTimeout reads ShutdownTimeoutEnv.
func envTimeout() (time.Duration, error) {
	text := os.Getenv(ShutdownTimeoutEnv)
	if text == "" {
		return DefaultShutdownTimeout, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", ShutdownTimeoutEnv, err)
	}
	return d, nil
}

// load reads a .runner file. What it does not need, it ignores.
func load(file string) (registration, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return registration{}, fmt.Errorf("read registration: %w", err)
	}
	var reg registration
	if err := json.Unmarshal(data, &reg); err != nil {
		return registration{}, fmt.Errorf("read registration %s: %w", file, err)
	}
	if reg.UUID == "" || reg.Token == "" || reg.Address == "" {
		return registration{}, fmt.Errorf("read registration %s: uuid, token and address are required", file)
	}
	return reg, nil
}

// identify puts the runner's identity into each call.
func (r *runner) identify() connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("X-Runner-Uuid", r.reg.UUID)
			req.Header().Set("X-Runner-Token", r.reg.Token)
			resp, err := next(ctx, req)
			return resp, disowned(err)
		}
	}
}

// disowned turns the ways in which servers say so into errUnregistered. Gitea
// says it in the text of an HTTP 500.
func disowned(err error) error {
	if err == nil {
		return nil
	}
	if connect.CodeOf(err) == connect.CodeUnauthenticated || strings.Contains(err.Error(), "unregistered runner") {
		return fmt.Errorf("%w (%s)", errUnregistered, err)
	}
	return err
}

// run declares the labels, then polls: at once, then at each interval, and at
// once again after a job.
func (r *runner) run(ctx context.Context) error {
	if err := r.declare(ctx); err != nil {
		return err
	}
	r.log.Info("runner online", "ephemeral", r.reg.Ephemeral)
	ticker := time.NewTicker(r.opts.FetchInterval)
	defer ticker.Stop()
	for {
		task, err := r.fetch(ctx)
		switch {
		case errors.Is(err, errUnregistered):
			return err
		case ctx.Err() != nil && task == nil:
			return nil
		case err != nil:
			r.log.Warn("no answer to fetch", "err", err)
		case task != nil:
			r.work(ctx, task)
			if r.reg.Ephemeral || r.opts.OneJob {
				return nil
			}
			continue
		case r.opts.OneJob && !r.opts.Wait:
			return errNoTask
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// declare tells the server the names of the labels and that the runner is
// here. As with the real runner, an error is the end.
func (r *runner) declare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	names := make([]string, len(r.reg.Labels))
	for i, l := range r.reg.Labels {
		names[i], _, _ = strings.Cut(l, ":")
	}
	_, err := r.rpc.Declare(ctx, connect.NewRequest(&runnerv1.DeclareRequest{Version: version, Labels: names}))
	if err != nil {
		return fmt.Errorf("declare runner: %w", err)
	}
	r.log.Info(fmt.Sprintf("runner: %s, with version: %s, with labels: %v, declare successfully", r.reg.Name, version, names))
	return nil
}

// fetch asks for a job. The server looks for one only if the version that it
// is given is not the current one, so 0 is given after a job, and each time in
// one-job mode. The call outlives
// ctx, for the server may already have given a job away.
func (r *runner) fetch(ctx context.Context) (*runnerv1.Task, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if r.opts.Handle != "" {
		return r.fetchOne(ctx)
	}
	resp, err := r.rpc.FetchTask(ctx, connect.NewRequest(&runnerv1.FetchTaskRequest{TasksVersion: r.seen}))
	if err != nil {
		return nil, fmt.Errorf("fetch task: %w", err)
	}
	r.seen = resp.Msg.TasksVersion
	if resp.Msg.Task != nil || r.opts.OneJob {
		r.seen = 0
	}
	return resp.Msg.Task, nil
}
