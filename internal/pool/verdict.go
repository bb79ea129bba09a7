package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// How much of a failed runner's log goes into the reason.
const (
	lastLogLines = 5
	lastLogBytes = 600
)

// ending is what a container that has ended tells.
type ending struct {
	suspect bool
	state   plan.ContainerState // empty if there is no container
	code    int                 // of an exited one
	coded   bool                // the code is known
	lost    bool                // its machine was lost with it
	why     string              // what the engine says of it
	log     string
	note    string
}

// inquire asks a container how it ended, and for its last log lines if it
// ended by itself or never came online. Without its log the runner goes all
// the same; without its state nothing may be done to it.
func (m *Manager) inquire(ctx context.Context, s step) (ending, error) {
	e := ending{suspect: s.suspect, note: s.rec.Note}
	if s.rec.ContainerID == "" {
		return e, nil
	}
	c, err := s.end.container, error(nil)
	if !c.Ended {
		c, err = m.ports.Inspector.Inspect(ctx, s.rec.ContainerID)
	}
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return e, nil
	case err != nil:
		return e, err
	}
	e.state, e.lost = c.State, c.Lost()
	if c.State != plan.ContainerExited {
		return e, nil
	}
	e.code, e.coded, e.why = c.ExitCode, c.Ended, c.Reason
	e.note = fmt.Sprintf("exited with code %d", e.code)
	if !e.coded {
		e.note = cmp.Or(e.why, "ended")
	}
	if s.rec.Signalled {
		e.note += " after it was told to stop"
	}
	if s.rec.Online && e.code == 0 || c.Withdrawn {
		return e, nil
	}
	e.why = cmp.Or(e.why, s.noPlace)
	lines, err := m.ports.Inspector.Logs(ctx, s.rec.ContainerID, lastLogLines)
	if err == nil {
		e.log = strings.Join(lines, " | ")
		if len(e.log) > lastLogBytes {
			e.log = "…" + strings.ToValidUTF8(e.log[len(e.log)-lastLogBytes:], "")
		}
	}
	return e, nil
}

// judge says whether the runner did its work, or how it failed. An ephemeral
// runner that no list showed with a job may have had a short one: then the
// server has deleted it itself, and its exit code is 0.
func (e ending) judge(rec state.Record) (worked bool, verdict error) {
	exited := e.state == plan.ContainerExited
	switch {
	case rec.Ephemeral && rec.Used:
		return true, nil
	case e.missedJob(rec):
		return false, nil
	case rec.Signalled && !rec.Online:
		return false, e.failure(plan.FailedBoot, "never came online")
	case !e.suspect || !exited:
		return false, nil
	case rec.Ephemeral && e.coded && e.code == 0 && rec.Identity != nil && (!rec.Existed || !rec.Identity.Ephemeral):
		return true, nil
	case rec.Ephemeral:
		return false, e.failure(plan.FailedExit, "ended without having had a job")
	}
	return false, e.failure(plan.FailedExit, "ended without having been told to")
}

func (e ending) failure(at plan.Failure, what string) error {
	if e.state == plan.ContainerExited && e.coded {
		what += fmt.Sprintf(", exit code %d", e.code)
	}
	if e.why != "" {
		what += ": " + e.why
	}
	if e.log != "" {
		what += plan.LogMark + e.log
	}
	return failing(at, errors.New("its runner "+what))
}

// judge tells the pool's breaker how a step ended.
func (m *Manager) judge(res result) {
	b := m.breakers[res.rec.Pool]
	if b == nil {
		return
	}
	switch {
	case makes(res.op) && res.err != nil:
		b.fail(time.Now(), res.rec.Name, res.err)
		m.tellFailure(res.rec, res.err)
	case res.verdict != nil:
		b.fail(time.Now(), res.rec.Name, res.verdict)
		m.tellFailure(res.rec, res.verdict)
	case res.worked && !b.token: // that a runner has worked makes no token valid
		b.succeed()
	}
}

// report logs what a step has changed.
func (m *Manager) report(res result, log *slog.Logger) {
	if res.busy {
		log.Info("runner not stopped: its log tells of a job", "step", res.op)
		return
	}
	switch res.op {
	case opPrepare:
		if !res.gone {
			log.Info("runner made ahead", "reason", res.rec.Reason, "took", res.took.Round(time.Millisecond).String())
		}
	case opStart:
		if res.gone || res.rec.Phase == plan.PhaseStandby {
			return // the daemon is about to end
		}
		log.Info("runner started", "reason", res.rec.Reason, "took", res.took.Round(time.Millisecond).String())
	case opRestart:
		if res.rec.Phase == plan.PhaseStarting { // and not put off, or given up
			log.Info("runner has a new container", "note", res.rec.Note, "took", res.took.Round(time.Millisecond).String())
		}
	case opNudge:
		log.Info("runner nudged: a job waited beside it")
	case opDrain:
		if res.cannotDisable {
			log.Info("runner withdrawn", "reason", res.rec.Note)
			return
		}
		log.Info("runner disabled", "reason", res.rec.Note)
	case opStop:
		log.Info("runner told to stop", "reason", res.rec.Note)
	case opKill:
		log.Warn("runner killed", "reason", res.rec.Note)
	case opRemove:
		if res.rec.Identity == nil && !res.rec.Existed && !res.kept {
			log.Debug("runner cleared away that was never made whole", "note", res.rec.Note)
			return
		}
		how := "the server had deleted it"
		switch {
		case res.kept:
			how = "it cannot delete it"
		case res.rec.Existed:
			how = "deregistered"
		}
		if res.rec.Job != 0 {
			log = log.With("job", res.rec.Job)
		}
		log.Info("runner removed", "note", res.rec.Note, "server", how,
			"lived", time.Since(res.rec.CreatedAt).Round(time.Millisecond).String())
	}
}
