package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/state"
)

// step is what one step works on: a copy of the record, and what the loop
// knows beside it.
type step struct {
	rec     state.Record
	opts    Options // of its pool, as of when the step began
	suspect bool    // the container ended without having been told to
	careful bool    // the pool's runners have failed
	noPlace string  // why no machine had a place for its container
	byLog   bool    // its log has to tell whether it has a job
	caps    plan.Capabilities
	// keepSpares is set if no spare identity may be taken now.
	keepSpares bool
	// How long the record may wait for others once the runner is gone.
	patience time.Duration
	// What the cycle saw of a runner that has ended.
	end evidence
}

// ahead reports whether the runner was made before, and is only to be started.
func (s step) ahead() bool { return s.rec.Phase == plan.PhaseStandby && s.rec.Identity != nil }

// prepare makes a registered runner in a container that is not started.
func (m *Manager) prepare(ctx context.Context, s step) result {
	s.rec.Unregistered = s.keepsIdentities()
	if err := m.ports.Store.Put(s.rec); err != nil {
		return result{rec: s.rec, err: err, gone: true} // nothing has been made yet
	}
	rec, err := m.make(ctx, s)
	if err == nil {
		err = m.ports.Store.Put(rec)
	}
	if err != nil {
		return m.giveUp(rec, err)
	}
	return result{rec: rec}
}

// giveUp leaves what was made of a runner to remove, which finds it by the
// record.
func (m *Manager) giveUp(rec state.Record, err error) result {
	rec.Enter(plan.PhaseExited, err.Error(), time.Now())
	return result{rec: rec, err: errors.Join(err, m.ports.Store.Put(rec))}
}

// start makes a registered runner in a running container, or starts one that
// was made ahead.
func (m *Manager) start(ctx context.Context, s step) result {
	if !s.ahead() {
		s.rec.Unregistered = s.keepsIdentities()
	}
	rec, err := s.rec, error(nil)
	rec.Enter(plan.PhaseStarting, "", time.Now())
	if err := m.ports.Store.Put(rec); err != nil {
		return result{rec: s.rec, err: err, gone: !s.ahead()} // nothing has been made yet
	}
	if !s.ahead() {
		rec, err = m.make(ctx, s)
	}
	var overload bool
	if err == nil {
		overload, err = m.launch(ctx, rec, s.opts)
	}
	if err != nil {
		res := m.giveUp(rec, err)
		res.overload = overload
		return res
	}
	rec.StartedAt = time.Now() // stored with what happens to it next
	return result{rec: rec, overload: overload}
}

// restart gives a persistent runner whose container has ended another one,
// made as its pool says today, with the identity that it has.
func (m *Manager) restart(ctx context.Context, s step) result {
	end, err := m.inquire(ctx, s)
	switch {
	case err != nil:
		return result{rec: s.rec, err: failing(plan.FailedCreate, err)}
	case end.state == plan.ContainerRunning:
		return result{rec: s.rec, alive: true}
	}
	rec, err := m.remake(ctx, s, end.note)
	res := result{rec: rec, err: err}
	switch {
	case errors.Is(err, errNotOurs):
		res.err, res.deleted = nil, true // the next cycle removes it
	case err != nil:
		res.rec.Enter(plan.PhaseExited, err.Error(), time.Now())
		res.err = errors.Join(err, m.ports.Store.Put(res.rec))
	default:
		_, res.verdict = end.judge(s.rec)
	}
	return res
}

// errNotOurs is for an identity that the server does not know any more.
var errNotOurs = errors.New("the server does not know the runner any more")

func (m *Manager) remake(ctx context.Context, s step, note string) (state.Record, error) {
	rec := s.rec
	if err := m.stillKnown(ctx, s); err != nil {
		return rec, err
	}
	old := rec.ContainerID
	rec.Enter(plan.PhaseStarting, note, time.Now())
	rec.ContainerID, rec.StartedAt, rec.Online, rec.DataDir = "", time.Time{}, false, s.opts.DataDir
	if err := m.ports.Store.Put(rec); err != nil {
		return rec, err
	}
	if old != "" {
		if err := m.ports.Engine.Remove(ctx, old, false); err != nil {
			rec.ContainerID = old
			return rec, failing(plan.FailedCreate, err)
		}
	}
	// Before the new one can have jobs of its own. Containers that cannot be
	// cleared now are found again by their labels.
	if err := m.clearJobs(ctx, rec); err != nil {
		m.log.Warn("leftovers of a job not removed", "pool", rec.Pool, "runner", rec.Name, "err", err)
	}
	launch, err := m.launchOf(ctx, rec, s.opts)
	if err != nil {
		return rec, err
	}
	rec.ContainerID, err = m.create(ctx, rec.Pool, rec.Name, launch)
	if err != nil {
		return rec, err
	}
	rec.Recipe.Container, rec.Recipe.Image = s.opts.Recipe.Container, m.imageOf(rec.Pool)
	if _, err := m.launch(ctx, rec, s.opts); err != nil {
		return rec, err
	}
	rec.StartedAt = time.Now()
	return rec, nil
}

// stillKnown returns errNotOurs if the server does not know the runner any more.
// Where runners cannot be read, the runner's own call tells.
func (m *Manager) stillKnown(ctx context.Context, s step) error {
	id := *s.rec.Identity
	var err error
	if s.caps.Runners {
		var found plan.ServerRunner
		if found, err = m.ports.Forge.Runner(ctx, s.rec.Scope, id.ID); err == nil && found.Name != id.Name {
			return errNotOurs
		}
	} else {
		id.Labels = labelNames(s.opts.Labels)
		_, err = m.ports.Voice.Verify(ctx, id, m.version)
	}
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return errNotOurs
	case errors.Is(err, plan.ErrUnsupported):
		return nil // the answer was one, without an id
	}
	return failing(plan.FailedRegister, err)
}

// nudge has the server note a change of the runner, which makes it look at
// the queue again. While it is disabled it gets no job, so that it is enabled
// again is stored as what is to be done, before.
func (m *Manager) nudge(ctx context.Context, s step) result {
	rec := s.rec
	if !rec.Nudging {
		rec.Nudging = true
		if err := m.ports.Store.Put(rec); err != nil {
			return result{rec: s.rec, err: err}
		}
		if err := m.ports.Forge.SetRunnerDisabled(ctx, rec.Scope, rec.Identity.ID, true); errors.Is(err, plan.ErrUnsupported) {
			rec.Nudging = false
			return result{rec: rec, err: m.ports.Store.Put(rec), cannotDisable: true}
		}
	}
	err := m.ports.Forge.SetRunnerDisabled(ctx, rec.Scope, rec.Identity.ID, false)
	if err != nil && !errors.Is(err, plan.ErrNotFound) {
		return result{rec: rec, err: fmt.Errorf("enable runner again: %w", err)}
	}
	rec.Nudging = false
	return result{rec: rec, err: m.ports.Store.Put(rec)}
}

// make registers the runner and creates its container. Neither needs the
// other, so they run side by side. Only after failures the container comes
// first: an image that cannot be had must then cost no registration.
func (m *Manager) make(ctx context.Context, s step) (state.Record, error) {
	rec := s.rec
	if s.opts.SelfRegister != nil {
		return m.makeSelfRegistered(ctx, s)
	}
	launch, err := m.launchOf(ctx, rec, s.opts)
	if err != nil {
		rec.Unregistered = true
		return rec, err
	}
	var containerID string
	created := make(chan error, 1)
	go func() {
		var err error
		containerID, err = m.create(ctx, s.rec.Pool, s.rec.Name, launch)
		created <- err
	}()
	if s.careful {
		err := <-created
		if err != nil {
			rec.Unregistered = true
			return rec, err
		}
		created <- nil
	}
	err = failing(plan.FailedRegister, m.measured(rec.Pool, plan.SpanRegister, func() (err error) {
		rec, err = m.enlist(ctx, s)
		return err
	}))
	createErr := <-created
	rec.ContainerID, rec.Recipe.Image = containerID, m.imageOf(rec.Pool)
	return rec, errors.Join(err, createErr)
}

// launch puts the runner's files into its container and starts it. It reports
// whether the engine could not keep up.
func (m *Manager) launch(ctx context.Context, rec state.Record, opts Options) (overload bool, err error) {
	var files []plan.File
	if rec.Identity != nil {
		dotRunner, err := dotRunner(rec.Name, *rec.Identity, rec.Ephemeral)
		if err != nil {
			return false, err
		}
		files = append(files, plan.File{Path: path.Join(dataDir(rec, opts), register.DotRunnerName), Mode: 0o600, Data: dotRunner})
	}
	runnerConfig, err := opts.RunnerConfig(rec.Name)
	if err != nil {
		return false, err
	}
	if err := m.ports.Store.Put(rec); err != nil {
		return false, err
	}
	files = append(files, plan.File{Path: path.Join(dataDir(rec, opts), register.ConfigName), Mode: 0o644, Data: runnerConfig})
	began := time.Now()
	err = failing(plan.FailedStart, m.measured(rec.Pool, plan.SpanStart, func() error { return m.ports.Engine.Start(ctx, rec.ContainerID, files) }))
	return time.Since(began) >= slowStart, err
}

// create makes the container of a runner. It takes no record, which may be changed
// beside it.
func (m *Manager) create(ctx context.Context, pool, runner string, launch *plan.Launch) (containerID string, err error) {
	err = failing(plan.FailedCreate, m.measured(pool, plan.SpanCreate, func() (err error) {
		containerID, err = m.ports.Engine.Create(ctx, pool, runner, launch)
		return err
	}))
	return containerID, err
}

// dataDir is where the runner's files are in its container. What its pool says
// today may be another place, or nothing if it is not configured any more.
func dataDir(rec state.Record, opts Options) string { return cmp.Or(rec.DataDir, opts.DataDir) }

// dotRunner composes the runner's file. An ephemeral runner is to end after one
// job also where the server, older than Gitea 1.24, knows nothing of that.
func dotRunner(name string, id plan.Identity, ephemeral bool) ([]byte, error) {
	if id.Token == "" {
		return nil, fmt.Errorf("write .runner of runner %s: its token was lost with an earlier state", name)
	}
	id.Ephemeral = ephemeral
	return register.DotRunner(id)
}
