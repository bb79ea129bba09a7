package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"scaler.io/scaler/internal/giteatest"
)

// logName is the daemon's log in the directory of a world.
const logName = "daemon.log"

// world is one daemon with its Gitea and its engine, and all that befalls it.
type world struct {
	opts  options
	kind  giteatest.Options
	name  string // of the kind
	seed  uint64
	kills int
	edits int
	bad   int // edits
	pace  pace
	dir   string

	log        *os.File
	logMu      sync.Mutex
	stage      *stage
	daemon     *daemon
	traps      *traps
	audit      *audit
	load       *load
	faults     *faults
	bystanders *bystanders
	editor     *editor
	killer     *killer
	operator   *operator // nil if nobody gives orders
}

// outcome is what came of a world.
type outcome struct {
	figures  figures
	findings []string
	details  string
	dir      string // kept if something was lost
}

// random is the source of one actor's decisions.
func (w *world) random(actor string) *mathrand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(actor)) // never fails
	return mathrand.New(mathrand.NewPCG(w.seed, h.Sum64()))
}

// note writes into the daemon's log what the harness does.
func (w *world) note(format string, args ...any) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	// A log that cannot be written must not end the run.
	_, _ = fmt.Fprintf(w.log, "%s === %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), fmt.Sprintf(format, args...))
}

// play makes a world, torments its daemon, lets it settle, and says what was
// lost. The error is the harness's own, or the daemon's refusal to run.
func play(ctx context.Context, o options, index int) (out outcome, err error) {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return out, fmt.Errorf("make directory: %w", err)
	}
	w := &world{
		opts: o, seed: o.seed + uint64(index)<<32, dir: dir, pace: o.pace(),
		kills: o.share(o.kills, index), edits: o.share(o.edits, index), bad: o.share(o.badEdits, index),
	}
	w.kind, w.name = giteaKind(index)
	out.dir = dir
	defer func() {
		if err == nil && out.figures.good() && len(out.findings) == 0 && !o.keep {
			err = os.RemoveAll(dir)
			out.dir = ""
		}
	}()
	w.log, err = os.OpenFile(filepath.Join(dir, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return out, fmt.Errorf("make the daemon's log: %w", err)
	}
	defer func() { err = errors.Join(err, w.log.Close()) }()
	defer func() {
		if w.stage != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			err = errors.Join(err, w.stage.close(closing))
		}
	}()
	if err := w.setUp(ctx); err != nil {
		return out, err
	}
	if err := w.torment(ctx); err != nil {
		return out, err
	}
	if err := w.settle(ctx); err != nil {
		w.audit.find("%v", err)
	}
	return w.judge(ctx)
}

// setUp makes everything but the daemon's first process.
func (w *world) setUp(ctx context.Context) error {
	id := "chaos-" + strings.ToLower(rand.Text()[:10])
	eng, err := w.opts.newEngine(ctx, w.dir, id, w.random("engine"), func(text string) {
		fmt.Fprintln(os.Stderr, "chaos:", text)
	})
	if err != nil {
		return err
	}
	s, err := newStage(w.dir, id, w.kind, eng)
	if err != nil {
		return errors.Join(err, eng.close(ctx))
	}
	w.stage = s
	w.daemon = &daemon{binary: w.opts.scaler, config: s.configFile(), dir: w.dir, log: w.log}
	w.traps = newTraps(w.random("traps"), points(w.opts.late, w.kind.DisablePatch), w.daemon.kill, w.note)
	w.audit = newAudit(s)
	w.load = newLoad(s.gitea, w.pace, w.random("load"))
	w.faults = &faults{stage: s, pace: w.pace, late: w.opts.late, random: w.random("faults"), note: w.note}
	gitea := slowPick(s.gitea, w.random("slow picks"), w.pace.slowAnswers)
	err = s.open(
		w.traps.hook(w.audit.registers(gitea, w.daemon), giteaStep, func(step string, r *http.Request) {
			w.load.provoke(step)
			w.audit.seeGitea(step, r)
		}),
		w.traps.hook(eng, engineStep, func(step string, r *http.Request) {
			w.load.provoke(step)
			w.audit.seeEngine(step, r)
		}))
	if err != nil {
		return err
	}
	w.editor = newEditor(w, full(eng.image(), w.pace, w.opts.logLevel))
	if err := w.editor.begin(); err != nil {
		return err
	}
	w.killer = &killer{
		daemon: w.daemon, traps: w.traps, pace: w.pace, random: w.random("killer"), note: w.note, autopsy: w.audit.autopsy,
		edited: w.editor.edited,
	}
	if w.opts.orders {
		w.operator = newOperator(w)
	}
	w.bystanders, err = newBystanders(ctx, s)
	return err
}

// torment kills the daemon and edits its configuration under load until all of
// that is done, then ends the load and all faults.
func (w *world) torment(ctx context.Context) error {
	acting, end := context.WithCancel(ctx)
	defer end()
	var actors errgroup.Group
	actors.Go(func() error { w.load.run(acting); return nil })
	actors.Go(func() error { return w.faults.run(acting) })
	actors.Go(func() error { w.bystanders.live(acting); return nil })
	actors.Go(func() error { return w.editor.run(acting, w.edits, w.bad) })
	if w.operator != nil {
		actors.Go(func() error { w.operator.run(acting); return nil })
	}
	err := w.killer.run(acting, w.kills)
	if err == nil {
		err = w.killer.outlast(acting)
	}
	end()
	return errors.Join(err, actors.Wait())
}
