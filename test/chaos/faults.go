package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// faults make Gitea and the engine have bad moments.
type faults struct {
	stage  *stage
	pace   pace
	late   bool // whether requests may be carried out late
	random *rand.Rand
	note   func(format string, args ...any)
	count  int
	slow   int // of these, the ones by which requests are carried out late
}

// run causes one fault after the other until ctx ends, and leaves none behind.
func (f *faults) run(ctx context.Context) error {
	for {
		if !rest(ctx, time.Duration(f.random.ExpFloat64()*float64(f.pace.faultEvery))) {
			return nil
		}
		f.count++
		if err := f.cause(ctx, time.Duration(f.random.Int64N(int64(f.pace.outage)))); err != nil {
			return err
		}
	}
}

// cause has one thing fail for a while.
func (f *faults) cause(ctx context.Context, d time.Duration) error {
	switch n := f.random.IntN(10); {
	case n == 0:
		return f.engineAway(ctx, d)
	case n == 1:
		return f.tokenReset(ctx, d)
	case n == 2:
		f.note("pick collision")
		f.stage.gitea.SetPickCollisions(1 + f.random.IntN(2))
		return nil
	}
	fault := f.giteaFault()
	f.note("gitea: %+v for %s", fault, d)
	if err := f.stage.gitea.SetFault(fault); err != nil {
		return err
	}
	rest(ctx, d)
	f.stage.gitea.ClearFaults()
	return nil
}

// giteaFault picks a way to fail. None loses the answer to a request for a
// job: the server would take the job for given, whatever the daemon does.
func (f *faults) giteaFault() giteatest.Fault {
	pick := func(from ...string) string { return from[f.random.IntN(len(from))] }
	daemons := pick("jobs", "runners", "runner.*", "Register", "runner.patch", "runner.delete")
	kinds := 5
	if f.late {
		kinds++
	}
	switch f.random.IntN(kinds) {
	case 0:
		statuses := []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusTooManyRequests}
		return giteatest.Fault{Kind: pick("*", daemons), Status: statuses[f.random.IntN(len(statuses))]}
	case 1:
		return giteatest.Fault{Kind: pick("*", daemons), Drop: true}
	case 2:
		return giteatest.Fault{Kind: daemons, DropAfter: true}
	case 3:
		return giteatest.Fault{Kind: daemons, HalfPage: true}
	case 4:
		return giteatest.Fault{Kind: daemons, HalfBody: true}
	}
	f.slow++
	return giteatest.Fault{Kind: "*", Latency: time.Duration(f.random.Int64N(int64(f.pace.slowAnswers)))}
}

// engineAway shuts the engine's gate, and restarts the engine behind it.
func (f *faults) engineAway(ctx context.Context, d time.Duration) error {
	f.note("engine away for %s", d)
	f.stage.gate.shut()
	err := f.stage.engine.restart(ctx, f.random.IntN(2) == 0)
	rest(ctx, d)
	if err != nil {
		return err
	}
	return f.stage.gate.open()
}

// tokenReset has somebody reset a registration token, and put the new one into
// its file a while later.
func (f *faults) tokenReset(ctx context.Context, d time.Duration) error {
	i := f.random.IntN(len(f.stage.tokens))
	f.note("registration token of %s reset, in the file after %s", f.stage.tokens[i].scope, d)
	if err := f.stage.resetToken(i, false); err != nil {
		return err
	}
	rest(ctx, d)
	return f.stage.writeToken(i)
}

// rest waits and reports whether ctx still lives.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// slowPick holds the answers that give a runner a job, so that the daemon can
// take the runner out of service while the answer is under way.
func slowPick(next http.Handler, random *rand.Rand, most time.Duration) http.Handler {
	const withoutJob = 200 // bytes; an answer with a job is much longer
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if giteaCall(r) != "FetchTask" {
			next.ServeHTTP(w, r)
			return
		}
		var answer held
		if serveHeld(next, &answer, r) {
			panic(http.ErrAbortHandler)
		}
		if answer.body.Len() > withoutJob {
			mu.Lock()
			d := time.Duration(random.Int64N(int64(most)))
			mu.Unlock()
			time.Sleep(d)
		}
		answer.send(w)
	})
}
