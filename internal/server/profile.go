package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// MaxProfile is the longest time over which a profile is taken.
const MaxProfile = 5 * time.Minute

// defaultSeconds is how long a profile takes that does not say.
const defaultSeconds = "10"

// Sampling of the profiles that cost too much to be always on: one in so many
// contended locks, and one block for so many nanoseconds of blocking.
const (
	mutexFraction = 10
	blockRate     = 10_000
)

// The kinds of profile. Those of the first list are taken over a time, the
// others of a moment.
var (
	timedProfiles  = []string{"cpu", "mutex", "block"}
	momentProfiles = []string{"heap", "allocs", "goroutine"}
)

// ProfileKinds returns the kinds of profile that Client.Profile knows.
func ProfileKinds() []string { return slices.Concat(timedProfiles, momentProfiles) }

// TimedProfile reports whether a profile of the kind is taken over a time.
func TimedProfile(kind string) bool { return slices.Contains(timedProfiles, kind) }

// profiler serves the profiles of the process. Those that are taken over a time
// are taken one after the other, since they share the runtime's settings.
type profiler struct{ busy sync.Mutex }

// profiles returns the handlers of net/http/pprof. They belong to the control
// socket alone: who can ask for profiles can slow the daemon down.
func profiles() http.Handler {
	p, mux := new(profiler), http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index) // and the profiles of a moment, by name
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/profile", p.timed(pprof.Profile, nil))
	mux.HandleFunc("/debug/pprof/trace", p.timed(pprof.Trace, nil))
	mux.HandleFunc("/debug/pprof/mutex", p.timed(pprof.Handler("mutex").ServeHTTP, sampleMutexes))
	mux.HandleFunc("/debug/pprof/block", p.timed(pprof.Handler("block").ServeHTTP, sampleBlocks))
	return mux
}

// timed serves a profile that takes as long as its parameter seconds says, and
// has the runtime sample meanwhile.
func (p *profiler) timed(serve http.HandlerFunc, sample func() (stop func())) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text := cmp.Or(r.FormValue("seconds"), defaultSeconds)
		seconds, err := strconv.Atoi(text)
		if most := int(MaxProfile.Seconds()); err != nil || seconds < 1 || seconds > most {
			writeError(w, http.StatusBadRequest, fmt.Errorf("take profile: seconds is %q: it must be from 1 to %d", text, most))
			return
		}
		r.Form.Set("seconds", text)
		if !p.busy.TryLock() {
			writeError(w, http.StatusConflict, errors.New("take profile: another one is being taken: try again when it is done"))
			return
		}
		defer p.busy.Unlock()
		if sample != nil {
			defer sample()()
		}
		serve(w, r)
	}
}

func sampleMutexes() (stop func()) {
	was := runtime.SetMutexProfileFraction(mutexFraction)
	return func() { runtime.SetMutexProfileFraction(was) }
}

func sampleBlocks() (stop func()) {
	runtime.SetBlockProfileRate(blockRate)
	return func() { runtime.SetBlockProfileRate(0) } // nobody else turns it on
}

// Profile returns a profile of the daemon in the format of go tool pprof. It
// has names of functions, counts and sizes, and nothing of what is in memory.
// A kind that TimedProfile reports takes the duration, in whole seconds; the
// others ignore it. The error wraps plan.ErrInvalid for an unknown kind or a
// duration out of bounds, and plan.ErrConflict while another one is taken.
func (c *Client) Profile(ctx context.Context, kind string, d time.Duration) ([]byte, error) {
	name := kind
	switch {
	case !slices.Contains(ProfileKinds(), kind):
		return nil, fmt.Errorf("take profile: %w: no kind %q", plan.ErrInvalid, kind)
	case kind == "heap":
		name = "heap?gc=1" // what is in use, and not what waits to be collected
	case kind == "cpu":
		name = "profile"
	}
	if !TimedProfile(kind) {
		return c.call(ctx, callTimeout, http.MethodGet, "/debug/pprof/"+name)
	}
	path := fmt.Sprintf("/debug/pprof/%s?seconds=%d", name, int(d.Seconds()))
	return c.call(ctx, d+planTimeout, http.MethodGet, path)
}
