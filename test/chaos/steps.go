package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The named steps of a runner's life, as requests that the daemon makes.
const (
	stepRegister   = "register"
	stepFind       = "find" // list the runners, by a name or to see who is online
	stepLook       = "look" // read one runner
	stepDisable    = "disable"
	stepWithdraw   = "withdraw" // in place of that, where the server cannot
	stepDeregister = "deregister"
	stepCreate     = "create"
	stepPutFiles   = "put-files"
	stepStart      = "start"
	stepStop       = "stop" // SIGTERM
	stepRemove     = "remove"
)

// How long after an answer the daemon may live on, how late a step may be
// carried out, and how many more requests than the usual one pass a trap, at
// most, for each that does not.
const (
	afterAnswer = 3 * time.Millisecond
	latest      = 500 * time.Millisecond
	mostPassing = 40
)

// moment is when, with respect to a step, the daemon is killed.
type moment string

// The moments.
const (
	before   moment = "before"   // the step is not carried out
	unheard  moment = "unheard"  // it is, and the answer is lost
	answered moment = "answered" // the answer is on its way
	late     moment = "late"     // it is carried out when the next daemon may run already
)

// point is a moment of a step.
type point struct {
	step string
	at   moment
}

func (p point) String() string { return p.step + "/" + string(p.at) }

// points are all of them that come about, in a fixed order: the late ones if
// wanted, and withdraw where the server cannot disable runners.
func points(withLate, cannotDisable bool) []point {
	moments := []moment{before, unheard, answered}
	if withLate {
		moments = append(moments, late)
	}
	steps := []string{stepRegister, stepFind, stepLook, stepDisable, stepDeregister, stepCreate, stepPutFiles, stepStart, stepStop, stepRemove}
	if cannotDisable {
		steps = append(steps, stepWithdraw)
	}
	var all []point
	for _, s := range steps {
		for _, m := range moments {
			all = append(all, point{s, m})
		}
	}
	return all
}

// giteaStep names the step that a request to Gitea is, or nothing.
func giteaStep(r *http.Request) string {
	p := r.URL.Path
	switch {
	case giteaCall(r) == "Register":
		return stepRegister
	case giteaCall(r) == "Deregister":
		return stepDeregister
	case giteaCall(r) == "Declare" && strings.HasPrefix(r.UserAgent(), "scaler/"): // and not the runner itself
		return stepWithdraw
	case strings.HasSuffix(p, "/actions/runners"):
		return stepFind
	case !strings.Contains(p, "/actions/runners/"):
		return ""
	}
	switch r.Method {
	case http.MethodGet:
		return stepLook
	case http.MethodPatch:
		return stepDisable
	case http.MethodDelete:
		return stepDeregister
	}
	return ""
}

// giteaCall names the call of the runners' protocol that a request is.
func giteaCall(r *http.Request) string {
	_, name, _ := strings.Cut(r.URL.Path, "runner.v1.RunnerService/")
	return name
}

// engineStep names the step that a request to the engine is, or nothing.
func engineStep(r *http.Request) string {
	p := r.URL.Path
	switch {
	case swarmPath.MatchString(p):
		return swarmStep(r)
	case r.Method == http.MethodPost && strings.HasSuffix(p, "/containers/create"):
		return stepCreate
	case r.Method == http.MethodPut && strings.HasSuffix(p, "/archive"):
		return stepPutFiles
	case r.Method == http.MethodPost && strings.HasSuffix(p, "/start"):
		return stepStart
	case r.Method == http.MethodPost && strings.HasSuffix(p, "/kill"):
		return stepStop
	case r.Method == http.MethodDelete && strings.Contains(p, "/containers/"):
		return stepRemove
	}
	return ""
}

// traps kill the daemon at points of a runner's life, more readily at those
// that were covered less often so far.
type traps struct {
	kill func()
	note func(format string, args ...any)

	points []point // where it may kill

	mu      sync.Mutex
	random  *rand.Rand
	armed   bool
	rare    bool          // only at a point that no other is behind
	fired   chan struct{} // closed by a trap when it has killed
	covered map[point]int
}

func newTraps(random *rand.Rand, points []point, kill func(), note func(format string, args ...any)) *traps {
	return &traps{kill: kill, note: note, points: points, random: random, covered: map[point]int{}}
}

// arm has one of the next requests at a point kill the daemon, or only one at
// a point that is rarely come by. The channel is closed when it has.
func (t *traps) arm(rare bool) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed, t.rare, t.fired = true, rare, make(chan struct{})
	return t.fired
}

// disarm reports whether the trap was still armed. If not, it is about to
// kill, or has.
func (t *traps) disarm() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.armed
	t.armed = false
	return was
}

// take gives the moment at which this request is to kill, if it is. Half of
// the requests pass in any case, so that it is not always the first of its
// kind, and more of them the further its step is ahead of the others.
func (t *traps) take(step string) (m moment, fired chan struct{}, ok bool) {
	if step == "" {
		return "", nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.armed {
		return "", nil, false
	}
	all := slices.Clone(t.points)
	t.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b point) int { return t.covered[a] - t.covered[b] })
	least := t.covered[all[0]]
	p := all[slices.IndexFunc(all, func(p point) bool { return p.step == step })]
	ahead := t.covered[p] - least
	if t.rare && ahead > 0 || t.random.IntN(2+min(2*ahead, mostPassing)) > 0 {
		return "", nil, false
	}
	t.covered[p]++
	t.armed = false
	return p.at, t.fired, true
}

// delay is a random time of up to most.
func (t *traps) delay(most time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Duration(t.random.Int64N(int64(most)))
}

// times returns how often the daemon was killed at the point.
func (t *traps) times(p point) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.covered[p]
}

// coverage prints how often the daemon was killed at each point.
func (t *traps) coverage() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, p := range t.points {
		fmt.Fprintf(&b, " %s=%d", p, t.covered[p])
	}
	return b.String()[1:]
}
