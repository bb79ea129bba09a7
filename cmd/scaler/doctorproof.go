package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

const (
	// proofPoll is how often the proof looks how far its runner is.
	proofPoll = 100 * time.Millisecond
	// proofDrain is how long the proof's runner may take to go, beyond
	// drain.settle.
	proofDrain = time.Minute
)

// proofCheck starts one runner and takes it away again.
func (e *exam) proofCheck() doctor.Check {
	p := e.proofPool()
	return doctor.Check{
		ID: "proof", Group: groupProof, Subject: "a runner of pool " + p.Name, Needs: []string{"docker", "gitea.server", "image." + p.Name},
		Timeout: p.Container.PullTimeout + p.BootTimeout + e.cfg.Drain.Settle + 2*proofDrain, Run: e.prove,
	}
}

// proofPool is the pool that a runner is started of.
func (e *exam) proofPool() config.Pool {
	for _, p := range e.cfg.Pools {
		if e.flags.pool == "" || p.Name == e.flags.pool {
			return p
		}
	}
	return config.Pool{}
}

// proofConfig is the configuration with one pool alone, which keeps one runner
// under a label that no job asks for. Its instance is another one than the
// daemon's in any case: else it would take up, and drain, the daemon's runners.
func proofConfig(cfg *config.Config, p config.Pool, stateDir string) *config.Config {
	c := *cfg
	label := plan.Label{Name: "scaler-doctor-" + strings.ToLower(rand.Text())}
	if len(p.Labels) > 0 {
		label.Schema, label.Args = p.Labels[0].Schema, p.Labels[0].Args // the runner prepares for it
	}
	p.Labels = []plan.Label{label}
	p.Min, p.Max, p.Standby, p.Idle = 1, 1, 0, config.Idle{}
	p.Ramp, p.Schedule, p.MaxPerRepo, p.MaxPerOwner = nil, nil, 0, 0
	c.Pools = []config.Pool{p}
	c.Gateway, c.HTTP, c.Webhook, c.Notifications = nil, nil, nil, nil
	c.Limits = config.Limits{Registrations: cfg.Limits.Registrations, ParallelStarts: 1}
	c.Instance, c.Peers = "", nil
	c.StateDir, c.OnShutdown, c.ShutdownTimeout = stateDir, config.ShutdownDrain, cfg.Drain.Settle+proofDrain
	return &c
}

// prove starts a runner by the daemon's own loop, with a state of its own, and
// drains it.
func (e *exam) prove(ctx context.Context, r *doctor.Report) {
	p := e.proofPool()
	subject := "a runner of pool " + p.Name
	switch {
	case p.Name == "":
		r.Skip("a runner", "there is no pool")
		return
	case p.Registration == config.RegisterByContainer:
		r.Skip(subject, "its containers register themselves through the running daemon's gateway: queue a job and see scaler status")
		return
	}
	e.pending.Add(1)
	defer e.pending.Done()
	dir, err := e.proofState()
	if err != nil {
		r.Fail(subject, err.Error(), "run this as root or as the daemon's user")
		return
	}
	proof, err := newProof(proofConfig(e.cfg, p, dir))
	if err != nil {
		r.Fail(subject, err.Error(), "wait until the other scaler doctor --job is done, or correct what it says")
		return
	}
	proof.run(ctx, r, subject)
	if left := proof.close(context.WithoutCancel(ctx)); left != nil {
		r.Fail(subject, "it is not all taken away: "+left.Error(), "repeat this: the next run takes up what this one left")
		return
	}
	if len(proof.made) > 0 {
		r.OK(subject, "deregistered and removed, nothing is left")
	}
	if err := os.RemoveAll(dir); err != nil {
		r.Warn(subject, err.Error(), "remove "+dir)
	}
}

// proofState is the directory of the proof's records: beside the daemon's if it
// can be, so that the next run takes up what one left that was killed.
func (e *exam) proofState() (string, error) {
	if info, err := os.Stat(e.cfg.StateDir); err == nil && info.IsDir() && mayWriteTo(e.cfg.StateDir) {
		return filepath.Join(e.cfg.StateDir, "doctor"), nil
	}
	dir, err := os.MkdirTemp("", "scaler-doctor-*")
	if err != nil {
		return "", fmt.Errorf("make directory for the proof: %w", err)
	}
	return dir, nil
}

// proof is a daemon of one runner.
type proof struct {
	parts parts
	store *state.Store
	scope plan.Scope
	made  map[string]bool // names of its runners
}

func newProof(cfg *config.Config) (*proof, error) {
	store, err := state.Open(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	p := &proof{store: store, made: map[string]bool{}}
	for _, t := range cfg.RegistrationTokens {
		if t.Name == cfg.Pools[0].RegistrationToken {
			p.scope = t.Scope
		}
	}
	if p.parts, err = wire(cfg, stores{store}, slog.New(slog.DiscardHandler)); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return p, nil
}

// run runs the loop until a runner is online, or it is clear that none will be,
// and drains.
func (p *proof) run(ctx context.Context, r *doctor.Report, subject string) {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.parts.fleet.Run(running) }()
	began := time.Now()
	runner, err := p.await(ctx, ended)
	if err != nil {
		r.Fail(subject, err.Error(), "what it says is what a job would meet too; scaler run in a terminal shows all of the daemon's log")
	} else {
		r.OK(subject, "%s: registered, container started, online in Gitea after %.1f s", runner.Name, time.Since(began).Seconds())
	}
	stop()
	if endErr := <-ended; endErr != nil {
		r.Fail(subject, endErr.Error(), "repeat this")
	}
}

// await waits for an idle runner.
func (p *proof) await(ctx context.Context, ended chan error) (plan.RunnerStatus, error) {
	poll := time.NewTicker(proofPoll)
	defer poll.Stop()
	for {
		s := p.parts.fleet.Status()
		for _, r := range s.Runners {
			p.made[r.Name] = true
			if r.Phase == plan.PhaseIdle || r.Phase == plan.PhaseBusy {
				return r, nil
			}
		}
		for _, q := range s.Pools {
			if q.Failures > 0 || q.Hold != "" {
				return plan.RunnerStatus{}, errors.New(problemsOf(s, q.Hold))
			}
		}
		select {
		case <-poll.C:
		case err := <-ended:
			ended <- nil
			return plan.RunnerStatus{}, fmt.Errorf("the loop has ended: %w", err)
		case <-ctx.Done():
			return plan.RunnerStatus{}, errors.New(problemsOf(s, "no runner was online in time"))
		}
	}
}

// problemsOf is what a status says is wrong.
func problemsOf(s plan.Status, otherwise string) string {
	var all []string
	for _, p := range s.Problems {
		all = append(all, p.Subject+": "+p.Message)
	}
	if len(all) == 0 {
		all = append(all, otherwise)
	}
	return strings.Join(all, "; ")
}

// close says what is left of the proof, at Gitea and in the engine.
func (p *proof) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proofDrain)
	defer cancel()
	var errs []error
	containers, err := p.parts.first().engine.List(ctx)
	errs = append(errs, err)
	for _, c := range containers {
		errs = append(errs, fmt.Errorf("container of %s", c.Runner))
	}
	runners, err := p.parts.first().gitea.Runners(ctx, p.scope)
	if !errors.Is(err, plan.ErrUnsupported) { // then its identity is kept for the next
		errs = append(errs, err)
	}
	left := slices.DeleteFunc(runners.Runners, func(r plan.ServerRunner) bool { return !p.made[r.Name] })
	for _, r := range left {
		errs = append(errs, fmt.Errorf("runner %s in Gitea", r.Name))
	}
	return errors.Join(append(errs, p.parts.close(), p.store.Close())...)
}
