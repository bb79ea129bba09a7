package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/simulate"
	"scaler.io/scaler/internal/simulate/page"
)

// simulateFlags say what is replayed, and how.
type simulateFlags struct {
	config string
	server string
	trace  string
	made   string // size of a load that is made up
	// fromGitea is how far back the server's jobs are taken.
	fromGitea string
	save      string
	out       string
	start     string
	cold      []time.Duration
	warmUp    time.Duration
	seed      uint64
	asJSON    bool
}

// traceStart is a Monday, for traces that count from nothing in particular.
const traceStart = "2026-01-05T00:00:00Z"

func newSimulateCommand() *cobra.Command {
	var flags simulateFlags
	cmd := &cobra.Command{
		Use: "simulate", Short: "Replay a load to see how the configuration would have fared", Args: cobra.NoArgs,
		Long: `Replay jobs in virtual time under the pools of --config, with the planner of the
daemon. Nothing is started, and no daemon is asked.

A trace is CSV with the columns arrival_s,duration_s,labels,repo, or a JSON
object with these names on each line. arrival_s is in seconds from --start, or
in Unix time; labels are separated by a blank or a semicolon.

With peers in the configuration only the jobs are replayed that fall to this
daemon, as if all others served theirs.

Without a trace, --synthetic makes one up: 20,000 jobs in a week or 100,000 in
a month, by the rhythm of people at work, which the first pools get more of.`,
		Example: `  scaler simulate --config scaler.yaml --trace jobs.csv
  scaler simulate --config scaler.yaml --from-gitea 7d --out report.html
  scaler simulate --config scaler.yaml --synthetic week --cold-start 5s
  scaler simulate --config scaler.yaml --synthetic month --save-trace jobs.csv`,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd) },
	}
	addConfigFlag(cmd, &flags.config)
	addServerFlag(cmd, &flags.server, "whose jobs and pools are replayed (default those of all, as if they were one)")
	f := cmd.Flags()
	f.StringVar(&flags.trace, "trace", "", "file with the jobs; - is standard input")
	f.StringVar(&flags.made, "synthetic", "", "make up the jobs of a week, a month, or a week of bursts")
	f.StringVar(&flags.fromGitea, "from-gitea", "", "replay the jobs that the server has run since so long ago, as 7d")
	f.StringVar(&flags.save, "save-trace", "", "write the jobs to a file, as JSON if its name ends in .jsonl, else as CSV")
	f.StringVar(&flags.out, "out", "", "write a report with plots to an HTML file")
	f.StringVar(&flags.start, "start", traceStart, "when second 0 of the trace is, for schedules")
	f.DurationSliceVar(&flags.cold, "cold-start", []time.Duration{20 * time.Second}, "how long a start takes until the runner is online; of several each start takes one by chance")
	f.DurationVar(&flags.warmUp, "warm-up", 0, "how long at the beginning nothing is counted")
	f.Uint64Var(&flags.seed, "seed", 1, "what chance is taken from")
	addJSONFlag(cmd, &flags.asJSON)
	return cmd
}

func (s *simulateFlags) run(cmd *cobra.Command) error {
	start, err := s.check()
	if err != nil {
		return err
	}
	cfg, err := config.Load(s.config)
	if err == nil && (s.fromGitea != "" || s.server != "") {
		cfg, err = oneServer(cfg, s.server)
	}
	if err != nil {
		return err
	}
	fleet := simulatedFleet(cfg)
	trace, err := s.load(cmd, cfg, fleet, start)
	if err != nil {
		return err
	}
	if err := s.saveTrace(trace); err != nil {
		return err
	}
	all, sharing := len(trace.Jobs), cfg.Sharing()
	if trace = trace.Share(sharing); len(trace.Jobs) == 0 && all > 0 {
		return fmt.Errorf("simulate: none of %s falls to %s", count(all, "job"), sharing.Self)
	}
	// A replay makes much garbage and keeps little.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	report, err := simulate.Compare(trace, fleet, simulate.Options{ColdStarts: s.cold, WarmUp: s.warmUp, Seed: s.seed})
	if err != nil {
		return err
	}
	if s.out != "" {
		if err := writeFile(s.out, func(w io.Writer) error { return page.Write(w, s.name(), report) }); err != nil {
			return err
		}
	}
	shown := newSimulation(report)
	if len(sharing.Peers) > 0 {
		shown.Share = &simulatedShare{Daemon: sharing.Self, Daemons: len(sharing.Peers), OfJobs: all}
	}
	return show(cmd, s.asJSON, shown, func(b *bytes.Buffer) { writeSimulation(b, report, shown.Share) })
}

// name says what is replayed.
func (s *simulateFlags) name() string {
	if s.made != "" {
		return "a synthetic " + s.made
	}
	if s.fromGitea != "" {
		return "the last " + s.fromGitea + " in Gitea"
	}
	return s.trace
}

// check looks at the flags together.
func (s *simulateFlags) check() (start time.Time, err error) {
	given := 0
	for _, source := range []string{s.trace, s.made, s.fromGitea} {
		if source != "" {
			given++
		}
	}
	if given != 1 {
		return start, &usageError{"say what to replay: one of --trace FILE, --from-gitea 7d and --synthetic week"}
	}
	if s.fromGitea != "" {
		if _, err := parseAge(s.fromGitea); err != nil {
			return start, err
		}
	}
	for _, d := range s.cold {
		if d < 0 {
			return start, &usageError{fmt.Sprintf("--cold-start %s is less than nothing", d)}
		}
	}
	if s.warmUp < 0 {
		return start, &usageError{fmt.Sprintf("--warm-up %s is less than nothing", s.warmUp)}
	}
	if start, err = time.Parse(time.RFC3339, s.start); err != nil {
		return start, &usageError{fmt.Sprintf("--start %q is not a time like %s", s.start, traceStart)}
	}
	return start, nil
}

// load gets the jobs.
func (s *simulateFlags) load(cmd *cobra.Command, cfg *config.Config, fleet simulate.Fleet, start time.Time) (simulate.Trace, error) {
	if s.fromGitea != "" {
		return s.fetch(cmd, cfg)
	}
	switch s.trace {
	case "":
		return simulate.Synthetic(s.made, fleet.Spec.Pools, start, s.seed)
	case "-":
		return simulate.Read("standard input", cmd.InOrStdin(), start)
	}
	f, err := os.Open(s.trace)
	if err != nil {
		return simulate.Trace{}, fmt.Errorf("read trace: %w", err)
	}
	defer f.Close()
	return simulate.Read(s.trace, f, start)
}

// saveTrace writes the jobs to a file if that is wanted.
func (s *simulateFlags) saveTrace(t simulate.Trace) error {
	if s.save == "" {
		return nil
	}
	write := simulate.WriteCSV
	if strings.HasSuffix(s.save, ".jsonl") {
		write = simulate.WriteJSON
	}
	return writeFile(s.save, func(w io.Writer) error { return write(w, t) })
}

// writeFile makes a file of what is written.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	out := bufio.NewWriter(f)
	if err := errors.Join(write(out), out.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// simulatedFleet is what the daemon would make of the configuration.
func simulatedFleet(cfg *config.Config) simulate.Fleet {
	fleet := fleetConfig(cfg, "")
	f := simulate.Fleet{Spec: fleet.Spec, Ephemeral: make(map[string]bool, len(fleet.Pools)), Polls: fleet.Pace.Polls}
	// There is no Docker host of which something could be kept.
	f.Spec.Reserve = plan.Resources{}
	for name, p := range fleet.Pools {
		f.Ephemeral[name] = p.Ephemeral
	}
	return f
}
