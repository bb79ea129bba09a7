package main

import (
	"context"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// The engines to choose from.
const (
	engineMemory = "memory"
	engineDocker = "docker"
	engineSwarm  = "swarm"
)

// How much of a log and of the findings is printed when something was lost.
const (
	printedLines    = 20
	printedFindings = 200
)

// options are what the command line says.
type options struct {
	kills    int
	edits    int
	badEdits int
	orders   bool
	seed     uint64
	engine   string
	scaler   string
	worlds   int
	verbose  bool
	keep     bool
	late     bool
	logLevel string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.kills, "kills", 200, "how often the daemon is killed")
	flags.IntVar(&o.edits, "edits", 0, "how many good edits of the configuration are made")
	flags.IntVar(&o.badEdits, "bad-edits", 0, "how many edits are made that are to change nothing")
	flags.BoolVar(&o.orders, "orders", false, "have people pause, drain and resume pools all the time")
	flags.Uint64Var(&o.seed, "seed", 0, "what all decisions are taken from; 0 takes a new one")
	flags.StringVar(&o.engine, "engine", engineDocker, "docker, swarm for one node of a Swarm, or memory for one in this process")
	flags.StringVar(&o.scaler, "scaler", "bin/scaler", "the binary under test, which must be static")
	flags.IntVar(&o.worlds, "worlds", 0, "how many daemons are tormented side by side, each with a Gitea and an engine of its own; 0 chooses")
	flags.BoolVar(&o.verbose, "v", false, "print at which steps the daemon was killed")
	flags.BoolVar(&o.keep, "keep", false, "keep the daemon's log and state in any case")
	flags.BoolVar(&o.late, "late", true, "have requests carried out after the daemon that sent them has died; what comes of it is found after a minute or more")
	flags.StringVar(&o.logLevel, "log", "info", "the daemon's log level")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.kills < 0 || o.edits < 0 || o.badEdits < 0 || o.kills+o.edits+o.badEdits == 0:
		return o, fmt.Errorf("-kills, -edits and -bad-edits must not be negative, and not all be 0")
	case o.engine != engineDocker && o.engine != engineSwarm && o.engine != engineMemory:
		return o, fmt.Errorf("-engine must be %s, %s or %s", engineDocker, engineSwarm, engineMemory)
	case o.engine == engineSwarm && o.worlds > 1:
		return o, errors.New("-worlds must be 1: there is one Swarm at a time on a machine")
	}
	if o.seed == 0 {
		o.seed = 1 + rand.Uint64N(1_000_000)
	}
	if o.worlds <= 0 {
		o.worlds = o.defaultWorlds()
	}
	var err error
	o.scaler, err = filepath.Abs(o.scaler)
	if err == nil {
		err = o.needsStatic()
	}
	if err == nil {
		_, err = os.Stat(o.scaler)
	}
	return o, err
}

// run is the command; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return 2
	}
	began := time.Now()
	fmt.Fprintf(stdout, "seed %d, engine %s, %d kills, %d edits and %d bad ones in %d worlds\n", o.seed, o.engine, o.kills, o.edits, o.badEdits, o.worlds)
	outcomes := make([]outcome, o.worlds)
	var group errgroup.Group
	for i := range o.worlds {
		group.Go(func() (err error) {
			outcomes[i], err = play(ctx, o, i)
			return err
		})
	}
	err = group.Wait()
	var sum figures
	failed := err != nil
	for _, out := range outcomes {
		sum = sum.add(out.figures)
		failed = failed || len(out.findings) > 0
		out.print(stdout, o)
	}
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
	}
	failed = failed || !sum.good()
	if failed {
		fmt.Fprintln(stdout, "replay with:", o.replay())
	}
	fmt.Fprintf(stdout, "took %s\n%s\n", time.Since(began).Round(time.Second), sum)
	if failed {
		return 1
	}
	return 0
}

// replay is the command that takes the same decisions again.
func (o options) replay() string {
	s := fmt.Sprintf("make chaos KILLS=%d SEED=%d ENGINE=%s", o.kills, o.seed, o.engine)
	if o.edits+o.badEdits > 0 {
		s += fmt.Sprintf(" EDITS=%d BAD_EDITS=%d", o.edits, o.badEdits)
	}
	if o.worlds != o.defaultWorlds() || !o.late || o.orders {
		s += fmt.Sprintf(" ARGS=\"-worlds %d -late=%v -orders=%v\"", o.worlds, o.late, o.orders)
	}
	return s
}

// share is the part of a number of things that falls to a world.
func (o options) share(all, world int) int {
	n := all / o.worlds
	if world < all%o.worlds {
		n++
	}
	return n
}

// print tells what came of a world: little if all is well.
func (out outcome) print(w io.Writer, o options) {
	if o.verbose {
		fmt.Fprintln(w, out.details)
	}
	if len(out.findings) > 0 {
		fmt.Fprintf(w, "findings (%d):\n  %s\n", len(out.findings), strings.Join(out.findings[:min(len(out.findings), printedFindings)], "\n  "))
	}
	if out.dir == "" {
		return
	}
	path := filepath.Join(out.dir, logName)
	if o.keep && len(out.findings) == 0 {
		fmt.Fprintln(w, "the daemon's log is", path)
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(w, err)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	fmt.Fprintf(w, "the end of the daemon's log %s:\n%s\n", path, strings.Join(lines[max(len(lines)-printedLines, 0):], "\n"))
}

// needsStatic refuses a binary that cannot run in an image of its own: all of
// its runners would fail, which looks like losses of the daemon.
func (o options) needsStatic() error {
	if o.engine == engineMemory {
		return nil
	}
	program, err := elf.Open(o.scaler)
	if err != nil {
		return nil // what is wrong with it is said where it is used
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("-scaler %s is not static: build it with CGO_ENABLED=0, as make build does", o.scaler)
		}
	}
	return nil
}
