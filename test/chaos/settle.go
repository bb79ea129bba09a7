package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// Bounds of the quiet time at the end.
const (
	settlePatience = 3 * time.Minute // until all is done and only what is kept is left
	endPatience    = 2 * time.Minute // from SIGTERM to the end
	settlePoll     = 100 * time.Millisecond
)

// settle lets the daemon run undisturbed until all jobs are done and nothing
// is left but what it keeps, and then has it drain.
func (w *world) settle(ctx context.Context) error {
	w.note("settle: %d jobs are not done", w.load.waiting())
	if err := w.editor.restore(ctx); err != nil {
		return err
	}
	p := w.daemon.alive()
	if p == nil {
		var err error
		if p, err = w.daemon.start(); err != nil {
			return err
		}
	}
	if w.operator != nil {
		if err := w.operator.end(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	for {
		jobs, left := w.load.waiting(), w.left(ctx)
		// Each is kept in Gitea and as a container. A daemon that is not ready
		// may not have begun to heed signals.
		if p.isReady() && jobs == 0 && left <= 2*keptRunners {
			break
		}
		select {
		case <-p.exited:
			return p.crashed()
		case <-ctx.Done():
			p.kill()
			return fmt.Errorf("not settled after %s: %d jobs are not done, and %d runners and containers are left", settlePatience, jobs, left)
		case <-time.After(settlePoll):
		}
	}
	w.note("settled, drain")
	return p.stop(endPatience)
}

// left counts the runners and containers of ours.
func (w *world) left(ctx context.Context) int {
	containers, err := w.stage.containers(ctx)
	if err != nil {
		return 1 << 10 // not known, so not settled
	}
	return len(containers) + len(w.stage.runners())
}

// judge counts what was lost.
func (w *world) judge(ctx context.Context) (outcome, error) {
	out := outcome{dir: w.dir, figures: figures{kills: w.kills}}
	f := &out.figures
	for _, j := range w.load.jobs() {
		f.jobs++
		if j.Status == giteatest.StatusSuccess {
			f.completed++
			continue
		}
		f.lost++
		w.audit.find("job %d of %s %v is %s, runner %s", j.ID, j.Repo, j.Labels, j.Status, j.RunnerName)
		if j.Status != giteatest.StatusQueued {
			w.audit.stop(j.ID)
		}
	}
	runners := w.stage.runners()
	for name, id := range runners {
		w.audit.find("runner %s (id %d) is left in Gitea", name, id)
	}
	containers, err := w.stage.containers(ctx)
	for _, name := range containers {
		w.audit.find("container %s is left", name)
	}
	records, stateErr := w.stage.records()
	for _, r := range records {
		w.audit.find("record of runner %s is left, in phase %s", r.Name, r.Phase)
	}
	f.corpses = len(runners) + w.audit.unrecorded(kindRunner) + w.audit.abandoned(w.kills)
	f.orphans = len(containers) + len(records) + w.audit.unrecorded(kindContainer)
	w.bystanders.check(ctx, w.stage, w.audit)
	w.checkRegistrations(f.jobs)
	f.edits, f.badEdits, f.mistaken = w.edits, w.bad, w.editor.wrong
	if w.operator != nil {
		f.orders, f.forgotten = w.operator.given, w.operator.forgotten
	}
	out.details = w.details()
	f.busyStopped, f.foreignTouched, out.findings = w.audit.sum()
	return out, errors.Join(err, stateErr)
}

// checkRegistrations holds the registrations to what can explain them: each
// job takes one at most, each kill and each fault cuts off as many starts as
// may be under way, an edit may have all runners replaced, and each runner that was taken out of service was one.
func (w *world) checkRegistrations(jobs int) {
	counts := w.stage.gitea.State().Counts
	most := jobs + parallelStarts*(w.kills+w.faults.count) + w.audit.done(stepDisable) + w.audit.done(stepWithdraw) + (maxRunners+mostStandby*w.editor.mostPools)*(1+w.editor.good+w.killer.ends)
	if o := w.operator; o != nil {
		most += o.starts + mostStandby*w.editor.mostPools*o.drains
	}
	if n := counts.Registrations - len(w.bystanders.runners); n > most {
		w.audit.find("%d registrations for %d jobs, %d kills, %d edits and %d faults: more than %d cannot be explained", n, jobs, w.kills, w.editor.good, w.faults.count, most)
	}
	// A registration that is carried out after its daemon's death is nobody's
	// until it is found.
	most = maxRunners + mostStandby*w.editor.mostPools + w.traps.times(point{stepRegister, late}) + parallelStarts*w.faults.slow
	if n := counts.PeakRunners - len(w.bystanders.runners); n > most {
		w.audit.find("%d runners at one time: more than %d cannot be explained", n, most)
	}
}

// details tells what happened.
func (w *world) details() string {
	counts := w.stage.gitea.State().Counts
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seed %d: %d registrations, at most %d at one time, %d faults, %d jobs cancelled on purpose, %d runners disabled, %d withdrawn, %d told to stop\n",
		w.name, w.seed, counts.Registrations-len(w.bystanders.runners), counts.PeakRunners-len(w.bystanders.runners),
		w.faults.count, len(w.load.cancelled), w.audit.done(stepDisable), w.audit.done(stepWithdraw), w.audit.done(stepStop))
	if w.edits+w.bad > 0 {
		fmt.Fprintf(&b, "  %d edits and %d bad ones, looked at %d times, %d draining ends\n", w.editor.good, w.editor.bad, w.editor.checked, w.killer.ends)
	}
	fmt.Fprintf(&b, "  kills at steps: %s", w.traps.coverage())
	return b.String()
}
