package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"syscall"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/server"
)

// editor edits the configuration while the daemon runs.
type editor struct {
	stage  *stage
	daemon *daemon
	pace   pace
	random *rand.Rand
	note   func(format string, args ...any)
	find   func(format string, args ...any)
	full   fleet
	client *server.Client

	// edited is closed when all edits are made.
	edited chan struct{}

	now     fleet // as in the file
	version int   // of the directory that the file is in, while it is a link
	// good counts the edits that are valid, bad the others, and checked those
	// of which was seen what the daemon made of them; wrong has the ones of
	// which that was not right.
	good, bad, checked, wrong int
	mostPools                 int // that the file had at a time
}

func newEditor(w *world, full fleet) *editor {
	return &editor{
		stage: w.stage, daemon: w.daemon, pace: w.pace, random: w.random("editor"), note: w.note, find: w.audit.find,
		full: full, now: full, client: server.NewClient(w.stage.controlSocket()), edited: make(chan struct{}),
	}
}

// run makes so many edits of both kinds, in random order, until ctx ends.
func (e *editor) run(ctx context.Context, good, bad int) error {
	defer close(e.edited)
	for good+bad > 0 && rest(ctx, time.Duration(e.random.Int64N(int64(e.pace.editEvery)))) {
		var err error
		if e.random.IntN(good+bad) < good {
			good--
			err = e.edit(ctx, edit(e.random, e.now, e.full, e.stage.engine.images()), e.random.IntN(3) > 0)
		} else {
			bad--
			err = e.spoil(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restore puts the full fleet into the file, and waits until a daemon that runs
// goes by it.
func (e *editor) restore(ctx context.Context) error {
	return e.edit(ctx, e.full, true)
}

// edit puts another fleet into the file, and if told to waits until the daemon
// goes by it.
func (e *editor) edit(ctx context.Context, next fleet, wait bool) error {
	text := e.stage.text(next)
	if _, err := config.Parse(e.stage.configFile(), []byte(text)); err != nil {
		return fmt.Errorf("an edit that is to be good is not: %w\n%s", err, text)
	}
	e.good++
	n := e.good
	how, p, err := e.write(text)
	e.now = next
	e.mostPools = max(e.mostPools, len(next.pools))
	if err != nil {
		return err
	}
	told, _ := e.tell(ctx, p)
	e.note("edit %d: %s, %s: %s", n, how, told, next)
	if p == nil || !wait {
		return nil
	}
	e.check(ctx, p, fmt.Sprintf("edit %d", n), func(s snapshot) string { return s.differs(next) })
	return nil
}

// spoil makes an edit that is to change nothing, and takes it back.
func (e *editor) spoil(ctx context.Context) error {
	e.bad++
	what := fmt.Sprintf("bad edit %d", e.bad)
	p, release := e.hold(ctx)
	if p == nil {
		return nil // ctx has ended
	}
	defer release()
	good := e.stage.text(e.now)
	// What the daemon goes by is the file as it is, for sure.
	if _, err := e.client.Reload(ctx); err != nil {
		e.failed(p, "%s: the file before it is refused: %v", what, err)
		return nil
	}
	var before snapshot
	if !e.check(ctx, p, what+": the file before it", func(s snapshot) string {
		before = s
		return s.differs(e.now)
	}) {
		return nil
	}
	b, text := e.choose(good)
	e.note("%s: %s", what, b.name)
	if err := e.put(b, text); err != nil {
		return err
	}
	told, output := e.tell(ctx, p)
	if b.gone && told == untold {
		told, output = reloaded, e.command(ctx)
	}
	reported := e.check(ctx, p, what+" ("+b.name+")", func(s snapshot) string { return s.reports(b, before) })
	e.note("%s: told by %s %s, reported %v", what, told, output, reported)
	if err := e.replace([]byte(good)); err != nil {
		return err
	}
	e.tell(ctx, p)
	e.check(ctx, p, what+" ("+b.name+"), taken back", func(s snapshot) string { return s.restored(before) })
	return nil
}

// choose spoils a file in one of the ways, until it is spoilt.
func (e *editor) choose(good string) (badEdit, string) {
	for {
		b := badEdits[e.random.IntN(len(badEdits))]
		text := b.make(e.random, good)
		if _, err := config.Parse(e.stage.configFile(), []byte(text)); (err == nil) == b.restart {
			return b, text
		}
	}
}

// How a daemon is told of an edit.
const (
	untold   = "untold"
	hungUp   = "SIGHUP"
	reloaded = "scaler reload"
	noDaemon = "no daemon"
	tellsOf  = 4
)

// tell tells the daemon of an edit, or lets it find out by itself. What the
// command prints is returned with it.
func (e *editor) tell(ctx context.Context, p *process) (how, output string) {
	if p == nil {
		return noDaemon, ""
	}
	switch e.random.IntN(tellsOf) {
	case 0:
		// It is safe once the daemon answers, and no sooner: the system ends a
		// program that has not asked for the signal.
		if _, err := e.client.Status(ctx); err != nil {
			return untold, ""
		}
		_ = p.cmd.Process.Signal(syscall.SIGHUP) // it may have ended
		return hungUp, ""
	case 1:
		return reloaded, e.command(ctx)
	}
	return untold, ""
}

// command runs scaler reload and returns what it prints.
func (e *editor) command(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, e.daemon.binary, "reload", "--socket", e.stage.controlSocket()).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s (%v)", out, err)
	}
	return string(out)
}

// hold waits for a daemon that is ready, and keeps others from being started
// until it is released: they would read a file that is spoilt.
func (e *editor) hold(ctx context.Context) (*process, func()) {
	for {
		e.daemon.steady.Lock()
		if p := e.daemon.running(); p != nil && p.isReady() && !p.told() {
			return p, e.daemon.steady.Unlock
		}
		e.daemon.steady.Unlock()
		if !rest(ctx, checkPause) {
			return nil, nil
		}
	}
}
