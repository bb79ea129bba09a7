package simulate

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

const (
	// never is a time that does not come.
	never = time.Duration(math.MaxInt64)
	// giveUp is how long after the last job has come or ended the others may
	// still wait, as for a window of the schedule.
	giveUp = 8 * 24 * time.Hour
	// none stands for no job.
	none = int32(-1)
)

// world is everything that is simulated, as it is at one moment.
type world struct {
	fleet   Fleet
	options Options
	trace   Trace
	chance  *rand.Rand
	now     time.Duration // since the trace's start
	server  *server
	daemon  *daemon // nil if nobody starts or stops runners
	meter   *meter
	events  events
	turns   int
	arrived int           // jobs that have come
	left    int           // jobs that have not ended, of those that a pool may serve
	moved   time.Duration // when a job last came or ended
	made    int           // runners so far
}

// state is what a runner really does.
type state uint8

const (
	gone     state = iota // its container does not run
	starting              // not yet online
	idle                  // free
	busy                  // has a job
	leaving               // online, but it gets no job any more
	states
)

// runner is one as it really is.
type runner struct {
	id        int // counts up
	name      string
	pool      int
	ephemeral bool
	state     state
	startedAt time.Duration
	disabled  bool  // the server gives it no job
	job       int32 // none while it has none
	seenJob   int32 // the last one that the daemon has seen it have
	place     int   // in the server's list of idle ones
	changed   bool  // since the daemon has last looked
}

func newWorld(t Trace, f Fleet, o Options) *world {
	w := &world{fleet: f, options: o, trace: t, chance: rand.New(rand.NewPCG(o.Seed, 1))}
	w.server = newServer(w)
	w.meter = newMeter(w)
	for j := range t.Jobs {
		if w.server.serves(int32(j)) {
			w.left++
		}
	}
	return w
}

// run goes from event to event until all jobs have ended, or those that have
// not are not going to.
func (w *world) run() {
	for w.left > 0 {
		next := w.next()
		if next-w.moved > giveUp && w.arrived == len(w.trace.Jobs) && w.server.running == 0 {
			break
		}
		w.meter.advance(next)
		w.now = next
		w.happen()
		if w.daemon != nil && w.daemon.due <= w.now {
			w.daemon.cycle()
		}
	}
	w.meter.close()
}

// next is when something happens next.
func (w *world) next() time.Duration {
	next := never
	if w.arrived < len(w.trace.Jobs) {
		next = w.trace.Jobs[w.arrived].Arrival
	}
	if len(w.events) > 0 {
		next = min(next, w.events[0].at)
	}
	if w.daemon != nil {
		next = min(next, w.daemon.due)
	}
	return max(next, w.now)
}

// happen lets everything happen that is due: what happens to runners first,
// then the jobs that come.
func (w *world) happen() {
	for len(w.events) > 0 && w.events[0].at <= w.now {
		e := heap.Pop(&w.events).(event)
		switch e.kind {
		case comesOnline:
			w.online(e.runner)
		case jobEnds:
			w.ended(e.runner)
		}
	}
	for w.arrived < len(w.trace.Jobs) && w.trace.Jobs[w.arrived].Arrival <= w.now {
		j := int32(w.arrived)
		w.arrived++
		w.moved = w.now
		if w.server.serves(j) {
			w.server.arrive(j)
			w.notice()
		}
	}
}

// expect foresees an event.
func (w *world) expect(after time.Duration, kind eventKind, r *runner) {
	w.turns++
	heap.Push(&w.events, event{at: w.now + after, turn: w.turns, kind: kind, runner: r})
}

// start makes a runner that will be online after a cold start.
func (w *world) start(pool int) *runner {
	r := w.newRunner(pool)
	w.meter.started(pool)
	w.set(r, starting)
	took := w.options.ColdStarts[0]
	if n := len(w.options.ColdStarts); n > 1 {
		took = w.options.ColdStarts[w.chance.IntN(n)]
	}
	w.expect(took, comesOnline, r)
	return r
}

func (w *world) newRunner(pool int) *runner {
	w.made++
	p := &w.fleet.Spec.Pools[pool]
	return &runner{id: w.made, name: fmt.Sprintf("%s-%08d", p.Name, w.made), pool: pool, ephemeral: w.fleet.Ephemeral[p.Name], startedAt: w.now, job: none, seenJob: none}
}

func (w *world) online(r *runner) {
	if r.state == gone { // it was ended before
		w.change(r)
		w.notice()
		return
	}
	w.idle(r)
}

// idle lets a runner wait for a job, if it is to get one.
func (w *world) idle(r *runner) {
	if r.disabled {
		w.set(r, leaving)
	} else {
		w.server.free(r)
	}
	w.change(r)
	w.notice()
}

func (w *world) ended(r *runner) {
	w.left--
	w.moved = w.now
	w.server.running--
	r.job = none
	if r.ephemeral {
		w.end(r)
		return
	}
	w.idle(r)
}

// disable has the server give the runner no more jobs.
func (w *world) disable(r *runner) {
	r.disabled = true
	if r.state == idle {
		w.server.forget(r)
		w.set(r, leaving)
	}
}

// end ends the container of a runner, which the engine tells the daemon.
func (w *world) end(r *runner) {
	if r.state == idle {
		w.server.forget(r)
	}
	w.set(r, gone)
	w.change(r)
	if w.daemon != nil {
		w.daemon.trigger()
	}
}

// set changes what a runner does.
func (w *world) set(r *runner, to state) {
	w.meter.move(r, to)
	r.state = to
}

func (w *world) change(r *runner) {
	if w.daemon != nil && !r.changed {
		r.changed = true
		w.daemon.changed = append(w.daemon.changed, r)
	}
}

// notice has the daemon find at its next look that something has happened.
func (w *world) notice() {
	if w.daemon != nil {
		w.daemon.due = min(w.daemon.due, w.daemon.pace.next(w.now))
	}
}
