package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// readyPatience bounds the time from the start of the daemon until it is
// ready; Gitea or the engine may be away for some of it.
const readyPatience = time.Minute

// How a life of the daemon ends.
const (
	whileStarting = "while it starts"
	whileRunning  = "while it runs"
	longLife      = "after a long life"
	atStep        = "at a step"
	interrupted   = "interrupted"
	neverReady    = "never ready" // which it must not
)

// killer starts and kills the daemon.
type killer struct {
	daemon *daemon
	traps  *traps
	pace   pace
	random *rand.Rand
	note   func(format string, args ...any)
	// autopsy looks at what the killed daemon has left.
	autopsy func(context.Context) error
	// edited is closed when all edits of the configuration are made.
	edited <-chan struct{}
	ends   int // how often the daemon was told to end while it was edited
}

// outlast keeps a daemon running until all edits are made. Now and then it is
// told to end, and drains, while the edits go on. The last one is left running,
// if there was need of one.
func (k *killer) outlast(ctx context.Context) error {
	for !closed(k.edited) {
		p, err := k.daemon.start()
		if err != nil {
			return err
		}
		select {
		case <-k.edited:
			return nil
		case <-p.exited:
			return p.crashed()
		case <-ctx.Done():
			p.kill()
			return ctx.Err()
		case <-time.After(k.pace.tenure/2 + time.Duration(k.random.Int64N(int64(k.pace.tenure)))):
		}
		k.ends++
		k.note("end %d", k.ends)
		if err := p.stop(endPatience); err != nil {
			return err
		}
	}
	return nil
}

// run kills the daemon that many times and leaves none running.
func (k *killer) run(ctx context.Context, kills int) error {
	for n := 1; n <= kills; n++ {
		how, err := k.once(ctx)
		if err != nil {
			return fmt.Errorf("life %d: %w", n, err)
		}
		k.note("kill %d: %s", n, how)
		if err := k.autopsy(ctx); err != nil {
			return fmt.Errorf("after life %d: %w", n, err)
		}
		pause := time.Duration(k.random.Int64N(int64(k.pace.restart)))
		if k.random.IntN(5) > 0 {
			pause /= 20 // a supervisor is quick
		}
		rest(ctx, pause)
	}
	return nil
}

// once is one life of the daemon. Two in three end at a step, if one comes
// about in time; the others at a random instant.
func (k *killer) once(ctx context.Context) (how string, err error) {
	p, err := k.daemon.start()
	if err != nil {
		return "", err
	}
	life, kind := k.life()
	var fired <-chan struct{}
	if k.random.IntN(3) > 0 {
		fired = k.traps.arm(kind == longLife || k.random.IntN(2) == 0)
	}
	how = k.await(ctx, p, fired, life, kind)
	if !k.traps.disarm() && fired != nil {
		<-fired // it is killing, or has killed
		how = atStep
	}
	switch how {
	case "":
		return "", p.crashed()
	case neverReady:
		p.kill()
		return "", fmt.Errorf("the daemon was not ready within %s", readyPatience)
	}
	if err := ctx.Err(); err != nil {
		p.kill()
		return "", err
	}
	if k.random.IntN(30) == 0 {
		p.terminate()
		how += " while it shuts down"
		rest(ctx, time.Duration(k.random.Int64N(int64(k.pace.live))))
		if err := p.faltered(); err != nil {
			return "", err
		}
	}
	p.kill()
	return how, nil
}

// await waits until it is time to kill, and says what that is. It returns
// nothing if the daemon has ended by itself.
func (k *killer) await(ctx context.Context, p *process, fired <-chan struct{}, life time.Duration, kind string) string {
	if kind != whileStarting {
		select {
		case <-p.ready:
		case <-fired:
			return atStep
		case <-p.exited:
			return ""
		case <-ctx.Done():
			return interrupted
		case <-time.After(readyPatience):
			return neverReady
		}
	}
	select {
	case <-time.After(life):
		return kind
	case <-fired:
		return atStep
	case <-p.exited:
		return ""
	case <-ctx.Done():
		return interrupted
	}
}

// life says how long the daemon lives, and from when.
func (k *killer) life() (time.Duration, string) {
	switch share := k.random.Float64(); {
	case share < 0.1:
		return time.Duration(k.random.Int64N(int64(k.pace.live))), whileStarting
	case share < 0.1+k.pace.longShare:
		return k.pace.longLife/4 + time.Duration(k.random.Int64N(int64(k.pace.longLife*3/4))), longLife
	}
	return time.Duration(k.random.Int64N(int64(k.pace.live))), whileRunning
}
