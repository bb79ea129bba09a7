package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cleanupTimeout bounds the removal of what a part has left.
const cleanupTimeout = 2 * time.Minute

// options are what the command line says.
type options struct {
	only   string
	scaler string
	json   string
	jobs   int
	burst  int
	rounds int
	soak   time.Duration
	quick  bool
	keep   bool
	limits string
}

// sizes are how much each part does.
type sizes struct {
	coldJobs    int           // jobs of each kind
	coldPause   time.Duration // the longest pause between two jobs
	burst       int           // jobs at once
	trial       int           // containers with which the best parallelism is found
	rounds      int           // of burst and teardown
	churnJobs   int
	churnSlots  int
	resident    int           // live runners
	residentFor time.Duration // cycles before memory is read
	idlePools   int
	idleFor     time.Duration
	planSize    planSize
	planRuns    int
	puts        int // per turn
	putTurns    int
}

// sizes are the full ones, or those of a smoke run.
func (o options) sizes() sizes {
	if o.quick {
		return sizes{
			coldJobs: 1, coldPause: 200 * time.Millisecond, burst: min(o.burst, 6), trial: 2, rounds: 1,
			churnJobs: 60, churnSlots: 10, resident: 40, residentFor: time.Second, idlePools: 100, idleFor: time.Second,
			planSize: planSize{jobs: 1000, runners: 200, pools: 20}, planRuns: 3, puts: 10, putTurns: 2,
		}
	}
	return sizes{
		coldJobs: o.jobs, coldPause: time.Second, burst: o.burst, trial: 24, rounds: o.rounds,
		churnJobs: 2000, churnSlots: 50, resident: 1000, residentFor: time.Minute, idlePools: 100, idleFor: 30 * time.Second,
		planSize: planSize{jobs: 10_000, runners: 2000, pools: 100}, planRuns: 15, puts: 25, putTurns: 12,
	}
}

// bench is one run.
type bench struct {
	opts options
	sizes
	id     string // value of the label of all that it makes
	dir    string
	engine *engineClient
	image  string  // of the runners, once an engine part has begun
	host   address // by which containers reach this machine
	log    io.Writer
	report report
}

// part is one thing to measure.
type part struct {
	name    string
	engine  bool // it needs a Docker Engine
	timeout time.Duration
	run     func(context.Context, *bench) error
}

// parts are all of them, in the order in which they run.
func parts() []part {
	return []part{
		{"cold_start", true, 15 * time.Minute, coldStart},
		{"burst", true, 40 * time.Minute, burst},
		{"teardown", true, 40 * time.Minute, burst},
		{"churn", false, 5 * time.Minute, churn},
		{"rss_mb", false, 6 * time.Minute, resident},
		{"plan", false, 3 * time.Minute, planning},
		{"state", false, 3 * time.Minute, puts},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the command; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, chosen, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	b := newBench(o, stderr)
	err = b.measure(ctx, chosen)
	b.report.print(stdout)
	if o.json != "" {
		err = errors.Join(err, b.report.write(o.json))
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// newBench prepares a run. What goes on is told to log.
func newBench(o options, log io.Writer) *bench {
	return &bench{opts: o, sizes: o.sizes(), id: "bench-" + strings.ToLower(rand.Text()[:10]), log: log, engine: newEngineClient(machineSocket())}
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (o options, chosen []part, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.only, "only", "", "measure only these parts, with commas between: "+names(parts()))
	flags.StringVar(&o.scaler, "scaler", "bin/scaler", "the binary to measure, which must be static")
	flags.StringVar(&o.json, "json", "", "write the figures to this file")
	flags.IntVar(&o.jobs, "n", 30, "jobs of each kind in cold_start")
	flags.IntVar(&o.burst, "burst", 100, "jobs at once in burst and teardown")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds of burst and teardown")
	flags.DurationVar(&o.soak, "soak", 0, "measure only how memory and state grow over this time under load")
	flags.BoolVar(&o.quick, "quick", false, "a smoke run: small sizes, whose figures mean little")
	flags.BoolVar(&o.keep, "keep", false, "keep the daemons' logs, at level debug")
	flags.StringVar(&o.limits, "limits", "", "limits of the daemon in cold_start, burst and teardown other than its defaults, as \"parallel_starts: 8\"")
	if err := flags.Parse(args); err != nil {
		return o, nil, err
	}
	switch {
	case flags.NArg() > 0:
		return o, nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.jobs < 1 || o.burst < 1 || o.rounds < 1:
		return o, nil, errors.New("-n, -burst and -rounds must be at least 1")
	case o.soak < 0:
		return o, nil, errors.New("-soak must not be negative")
	}
	if chosen, err = o.choose(); err != nil {
		return o, nil, err
	}
	if o.scaler, err = filepath.Abs(o.scaler); err == nil {
		_, err = os.Stat(o.scaler)
	}
	return o, chosen, err
}

// choose returns the parts to run. Burst and teardown are measured on the same
// containers, so they are one run.
func (o options) choose() (chosen []part, err error) {
	if o.soak > 0 {
		return []part{{"soak", false, o.soak + 5*time.Minute, soak}}, nil
	}
	var wanted []string
	if o.only != "" {
		wanted = strings.Split(o.only, ",")
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(parts(), func(p part) bool { return p.name == name }) {
			return nil, fmt.Errorf("-only: there is no part %q, only %s", name, names(parts()))
		}
	}
	for _, p := range parts() {
		if wanted != nil && !slices.Contains(wanted, p.name) {
			continue
		}
		if p.name == "teardown" && slices.ContainsFunc(chosen, func(q part) bool { return q.name == "burst" }) {
			continue
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

func names(all []part) string {
	var list []string
	for _, p := range all {
		list = append(list, p.name)
	}
	return strings.Join(list, ",")
}

// measure runs the parts one after the other. One that fails does not keep the
// others from running.
func (b *bench) measure(ctx context.Context, chosen []part) (err error) {
	if b.dir, err = os.MkdirTemp("", "scaler-bench"); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if b.opts.keep {
		fmt.Fprintln(b.log, "bench: the daemons' logs are in", b.dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	}
	b.report.Machine = look(ctx, b.engine)
	defer func() { b.report.Machine.LoadAfter = load() }()
	var failed []error
	for _, p := range chosen {
		if ctx.Err() != nil {
			return errors.Join(append(failed, errors.New("interrupted; what it made is removed"))...)
		}
		fmt.Fprintf(b.log, "bench: %s\n", p.name)
		if err := b.one(ctx, p); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(failed...)
}

// one runs a part under its deadline and clears up after it.
func (b *bench) one(ctx context.Context, p part) (err error) {
	within, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if !p.engine {
		return p.run(within, b)
	}
	if err := b.engine.ping(within); err != nil {
		return fmt.Errorf("it needs a Docker Engine, and none answers at %s; scripts/engine up starts one on Debian: %w", machineSocket(), err)
	}
	defer func() {
		clearing, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		err = errors.Join(err, b.clear(clearing))
	}()
	if err := b.prepare(within); err != nil {
		return err
	}
	return p.run(within, b)
}
