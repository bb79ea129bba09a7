package pool

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"scaler.io/scaler/internal/plan"
)

const (
	// wholeLog is as many lines as there may be.
	wholeLog = math.MaxInt32
	// readAtOnce is how many logs are read at a time.
	readAtOnce = 8
	// unheardFor is how long the log of a runner may be out of reach before it
	// counts as not known whether the runner has a job.
	unheardFor = 10 * time.Second
)

// ears listen to the logs of runners where the server does not say which runner
// has which job. Each log is read once, and then followed.
type ears struct {
	mu        sync.Mutex
	listeners map[string]*listener // by runner
	// follow bounds the following of logs; nil while nobody is to follow.
	follow context.Context
}

// followUntil has the logs be followed from now on until ctx ends.
func (e *ears) followUntil(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.follow = ctx
}

// listener listens to the log of one container.
type listener struct {
	container string
	heard     heard
	err       error     // why the log could not be read last
	deafSince time.Time // since when that is so
	following bool
	stop      context.CancelFunc
}

func newEars() *ears { return &ears{listeners: make(map[string]*listener)} }

// rumour is what is known of a runner from its log.
type rumour struct {
	heard
	deaf error // why that is not known, since unheardFor
}

// listen brings up to date what the logs of the runners say, and returns it by
// runner. It is nil where there is no need of it.
func (m *Manager) listen(ctx context.Context, seen *observation) map[string]rumour {
	if !m.byLog() {
		m.ears.keep(nil)
		return nil
	}
	if seen.engineErr != nil { // what was heard still counts
		return m.ears.rumours(seen.at)
	}
	runs := m.audible(seen)
	m.ears.keep(runs)
	var group errgroup.Group
	group.SetLimit(readAtOnce)
	for name, container := range runs {
		oneJob := m.runners[name].rec.Ephemeral
		if l := m.ears.of(name, container); m.ears.needs(l, oneJob) {
			group.Go(func() error {
				m.read(ctx, name, l, oneJob)
				return nil
			})
		}
	}
	_ = group.Wait() // it has no errors
	return m.ears.rumours(seen.at)
}

// byLog reports whether the runners' logs have to tell what they do.
func (m *Manager) byLog() bool { return m.caps.Product != "" && !m.caps.RunningNamesRunner }

// audible has the containers of the runners that may have a job, by runner.
func (m *Manager) audible(seen *observation) map[string]string {
	runs := make(map[string]string)
	for name, r := range m.runners {
		c, exists := seen.containers[name]
		switch {
		case !exists || makes(r.op) || c.State == plan.ContainerCreated || c.State == plan.ContainerExited || c.State == "dead":
		case r.rec.Phase == plan.PhaseStandby || r.rec.Phase == plan.PhaseExited || r.rec.Phase == plan.PhaseRemoving:
		default:
			runs[name] = c.ID
		}
	}
	return runs
}

// keep gives up listening to all but the named runners.
func (e *ears) keep(runs map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, l := range e.listeners {
		if runs[name] != l.container {
			l.stop()
			delete(e.listeners, name)
		}
	}
}

// of is the listener to a runner's container.
func (e *ears) of(name, container string) *listener {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.listeners[name]
	if l == nil {
		l = &listener{container: container, stop: func() {}}
		e.listeners[name] = l
	}
	return l
}

// needs reports whether a log has to be read: nobody follows it, and it may have
// more to say. A runner of one job says nothing more once it has that.
func (e *ears) needs(l *listener, oneJob bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !l.following && !(oneJob && l.heard.task.id != 0)
}

// rumours is what is known by now.
func (e *ears) rumours(now time.Time) map[string]rumour {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make(map[string]rumour, len(e.listeners))
	for name, l := range e.listeners {
		said := rumour{heard: l.heard}
		if l.err != nil && now.Sub(l.deafSince) >= unheardFor {
			said.deaf = l.err
		}
		all[name] = said
	}
	return all
}

// read reads a log as it is now, and has it followed.
func (m *Manager) read(ctx context.Context, name string, l *listener, oneJob bool) {
	lines, err := m.ports.Inspector.Logs(ctx, l.container, wholeLog)
	e, now := m.ears, time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		if l.err == nil {
			l.deafSince = now
		}
		l.err = err
		return
	}
	l.err = nil
	for _, line := range lines {
		l.heard.take(line, now)
	}
	if e.follow == nil || m.ports.Follower == nil || e.follow.Err() != nil || l.following {
		return
	}
	var follow context.Context
	follow, l.stop = context.WithCancel(e.follow)
	l.following = true
	go m.followLog(follow, name, l, oneJob)
}

// errHeard ends the following of a log that has no more to say.
var errHeard = errors.New("all is heard")

// followLog listens to a log until its container has ended, or all is heard. If
// it is cut off, the next cycle reads the log again.
func (m *Manager) followLog(ctx context.Context, name string, l *listener, oneJob bool) {
	err := m.ports.Follower.FollowLogs(ctx, l.container, wholeLog, func(line string) error {
		m.ears.mu.Lock()
		news := l.heard.take(line, time.Now())
		done := oneJob && l.heard.task.id != 0
		m.ears.mu.Unlock()
		if news {
			m.Trigger()
		}
		if done {
			return errHeard
		}
		return nil
	})
	m.ears.mu.Lock()
	l.following = false
	l.stop()
	m.ears.mu.Unlock()
	if err != nil && !errors.Is(err, errHeard) && ctx.Err() == nil {
		m.log.Debug("following of a runner's log has ended", "runner", name, "err", err)
	}
}

// lastWords reads a runner's log once more before it is told to stop or killed,
// and returns the task that it may have, nil if it has none. The record says what
// is known already.
func (m *Manager) lastWords(ctx context.Context, s step) (*task, error) {
	if !s.byLog || s.rec.ContainerID == "" {
		return nil, nil
	}
	lines, err := m.ports.Inspector.Logs(ctx, s.rec.ContainerID, wholeLog)
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var said heard
	for _, line := range lines {
		said.take(line, time.Now())
	}
	if t := said.task; t.id != 0 && (t.id != s.rec.Task || !s.rec.TaskOver) {
		return &t, nil
	}
	return nil, nil
}
