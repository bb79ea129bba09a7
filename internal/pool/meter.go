package pool

import (
	"errors"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// uncounted is the meter where nobody counts.
type uncounted struct{}

func (uncounted) Started(string, plan.Cause)            {}
func (uncounted) Stopped(string, plan.Cause)            {}
func (uncounted) Failed(string, plan.Failure)           {}
func (uncounted) Took(string, plan.Span, time.Duration) {}
func (uncounted) Reaped(plan.Remains, int)              {}

// measured has f done and, if that ends well, notes how long it took.
func (m *Manager) measured(pool string, what plan.Span, f func() error) error {
	began := time.Now()
	err := f()
	if err == nil {
		m.ports.Meter.Took(pool, what, time.Since(began))
	}
	return err
}

// failedAt marks an error with what has failed.
type failedAt struct {
	at  plan.Failure
	err error
}

func (f *failedAt) Error() string { return f.err.Error() }
func (f *failedAt) Unwrap() error { return f.err }

// failing marks an error, if there is one. What has a meaning of its own is
// marked by that.
func failing(at plan.Failure, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, plan.ErrTokenRejected):
		at = plan.FailedToken
	case errors.Is(err, plan.ErrImage):
		at = plan.FailedImage
	}
	return &failedAt{at, err}
}

// failureOf returns what an error is marked with. Of several, the first counts;
// an error that nothing has marked is of the record.
func failureOf(err error) plan.Failure {
	if f, marked := errors.AsType[*failedAt](err); marked {
		return f.at
	}
	return plan.FailedState
}

// meterAction counts what is about to begin.
func (m *Manager) meterAction(a plan.Action) {
	switch {
	case a.Cause == "":
	case makes(string(a.Kind)):
		m.ports.Meter.Started(a.Pool, a.Cause)
	default:
		m.ports.Meter.Stopped(a.Pool, a.Cause)
	}
}

// meterEnd counts how a step has ended.
func (m *Manager) meterEnd(r *runner, res result) {
	meter, pool := m.ports.Meter, res.rec.Pool
	switch {
	case makes(res.op) && res.err != nil:
		meter.Failed(pool, failureOf(res.err))
	case res.verdict != nil:
		meter.Failed(pool, failureOf(res.verdict))
	case res.op != opRemove || !res.gone || res.rec.Disabled: // its way out was counted when it began
	case res.worked:
		meter.Stopped(pool, plan.CauseDone)
	case r.gone:
		meter.Stopped(pool, plan.CauseDeleted)
	}
}

// meterWait notes how long a job has waited that a runner was just seen with for
// the first time. Both times are the daemon's: the server's time of a job is that
// of its run, which is much earlier for one that had to wait for other jobs, or
// was run again. Of a job that was never seen waiting it is known that the look
// before did not show it.
func (m *Manager) meterWait(r *runner, now time.Time) {
	if r.job == nil || r.job.ID == 0 || r.job.ID == r.rec.Job || r.job.ID == r.waited {
		return
	}
	r.waited = r.job.ID
	since := m.firstSeen[r.job.ID].first
	if since.IsZero() {
		since = m.jobsRead[r.rec.Scope]
	}
	if !since.IsZero() {
		m.ports.Meter.Took(r.rec.Pool, plan.SpanWait, now.Sub(since))
	}
}

// meterBoot notes how long a runner took that has just come online. Of one that was
// started before the daemon that is not known.
func (m *Manager) meterBoot(rec state.Record, now time.Time) {
	if !rec.StartedAt.IsZero() && !rec.StartedAt.Before(m.started) {
		m.ports.Meter.Took(rec.Pool, plan.SpanBoot, max(now.Sub(rec.StartedAt), 0))
	}
}

// meterDrain notes how long a runner took to end after it was taken out of
// service.
func (m *Manager) meterDrain(rec state.Record, now time.Time) {
	for i := len(rec.History) - 1; i >= 0; i-- {
		if step := rec.History[i]; step.Phase == plan.PhaseDraining {
			m.ports.Meter.Took(rec.Pool, plan.SpanDrain, max(now.Sub(step.At), 0))
			return
		}
	}
}
