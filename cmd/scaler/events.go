package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// retryFollow is how long a daemon is left alone that has ended while it was
// followed.
const retryFollow = time.Second

// eventKinds are the kinds of events, for the help and the shell.
var eventKinds = []plan.EventKind{
	plan.EventJobQueued, plan.EventJobUnserved, plan.EventJobOverdue, plan.EventJobGone,
	plan.EventRunner, plan.EventRunnerFailed, plan.EventCorpse, plan.EventOrphan,
	plan.EventBreakerOpened, plan.EventBreakerClosed, plan.EventTokenRefused, plan.EventProblem, plan.EventProblemOver,
	plan.EventServerChanged,
	plan.EventConfigTaken, plan.EventConfigRejected,
	plan.EventPaused, plan.EventResumed, plan.EventDrain, plan.EventStart,
	plan.EventDaemonStarted, plan.EventDaemonStops,
}

func newEventsCommand() *cobra.Command {
	var flags daemonFlags
	var e eventFilter
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use: "events", Short: "Show what has happened, and go on with what happens", Args: cobra.NoArgs,
		Long: `Show the last things that have happened: jobs that came, runners by phase,
failures, breakers, what was cleared away, orders of people, the configuration.
The daemon keeps the last 4,096 in memory, from its own start on.

With --follow it goes on with what happens, also over a restart of the daemon,
until Ctrl-C. With --json each event is one line of JSON; one with nothing but
"missed" says how many are not kept any more that were to come there.`,
		Example: `  scaler events --follow --kind problem,problem_over,breaker_opened
  scaler events --since 15m --pool linux
  scaler events --json --since 4711`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			if err := e.read(time.Now()); err != nil {
				return err
			}
			p := eventPrinter{out: cmd.OutOrStdout(), json: asJSON, wanted: e.wants}
			if !follow {
				return d.client.Events(cmd.Context(), e.after, false, p.print)
			}
			return followEvents(cmd.Context(), d.client, e.after, &p, cmd.ErrOrStderr())
		},
	}
	flags.add(cmd)
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on until Ctrl-C")
	f.StringSliceVarP(&e.kinds, "kind", "k", nil, "only these kinds, as in the column KIND")
	f.StringVarP(&e.pool, "pool", "p", "", "only those of this pool")
	f.StringVar(&e.runner, "runner", "", "only those of this runner")
	f.StringVar(&e.since, "since", "", "only those after this number, or not older than this, as in 15m")
	addJSONFlag(cmd, &asJSON)
	_ = cmd.RegisterFlagCompletionFunc("kind", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return kindNames(), cobra.ShellCompDirectiveNoFileComp
	}) // fails only for a flag that there is not
	_ = cmd.RegisterFlagCompletionFunc("pool", completePools(&flags, nil))
	_ = cmd.RegisterFlagCompletionFunc("runner", completeRunners(&flags))
	return cmd
}

func kindNames() []string {
	names := make([]string, len(eventKinds))
	for i, k := range eventKinds {
		names[i] = string(k)
	}
	return names
}

// eventFilter says which events are wanted.
type eventFilter struct {
	kinds        []string
	pool, runner string
	since        string

	after uint64
	from  time.Time
}

// read checks what was given.
func (f *eventFilter) read(now time.Time) error {
	for _, k := range f.kinds {
		if !slices.Contains(kindNames(), k) {
			return &usageError{fmt.Sprintf("--kind %q: there is no such kind; the kinds are %s", k, strings.Join(kindNames(), ", "))}
		}
	}
	if f.since == "" {
		return nil
	}
	if n, err := strconv.ParseUint(f.since, 10, 64); err == nil {
		f.after = n
		return nil
	}
	d, err := time.ParseDuration(f.since)
	if err != nil || d < 0 {
		return &usageError{fmt.Sprintf("--since %q: want the number of an event, or how long ago, as in 15m", f.since)}
	}
	f.from = now.Add(-d)
	return nil
}

func (f *eventFilter) wants(e plan.Event) bool {
	switch {
	case len(f.kinds) > 0 && !slices.Contains(f.kinds, string(e.Kind)):
	case f.pool != "" && e.Pool != f.pool:
	case f.runner != "" && e.Runner != f.runner:
	case e.At.Before(f.from):
	default:
		return true
	}
	return false
}

// eventSource is a daemon whose events are followed.
type eventSource interface {
	Events(ctx context.Context, since uint64, follow bool, each func(server.EventLine) error) error
}

// followEvents prints events until ctx ends, which is no error. A daemon that
// does not answer at first is one; later it is waited for, and its events are
// printed from the first on, as it may be restarted.
func followEvents(ctx context.Context, source eventSource, after uint64, p *eventPrinter, errs io.Writer) error {
	outage := ""
	for first := true; ; first = false {
		err := source.Events(ctx, after, true, p.print)
		var unprinted *printError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &unprinted) || err != nil && first:
			return err
		case err == nil:
			err = errors.New("the daemon has ended")
		}
		if outage != err.Error() {
			outage = err.Error()
			fmt.Fprintf(errs, "scaler: %s; waiting for it\n", outage)
		}
		after = 0 // another daemon counts anew
		select {
		case <-time.After(retryFollow):
		case <-ctx.Done():
			return nil
		}
	}
}

// printError is that what was to be printed could not be.
type printError struct{ err error }

func (p *printError) Error() string { return p.err.Error() }
func (p *printError) Unwrap() error { return p.err }

// eventPrinter prints events as they come.
type eventPrinter struct {
	out    io.Writer
	json   bool
	wanted func(plan.Event) bool
}

func (p *eventPrinter) print(l server.EventLine) error {
	var err error
	switch {
	case l.Missed > 0 && p.json:
		err = printLine(p.out, map[string]uint64{"missed": l.Missed})
	case l.Missed > 0:
		err = printTo(p.out, fmt.Appendf(nil, "… %d events are not kept any more\n", l.Missed))
	case !p.wanted(l.Event):
	case p.json:
		err = printLine(p.out, l.Event)
	default:
		err = printTo(p.out, eventText(l.Event))
	}
	if err != nil {
		return &printError{err}
	}
	return nil
}

// eventText is an event as a line for people.
func eventText(e plan.Event) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %-15s", e.At.UTC().Format("2006-01-02 15:04:05"), e.Kind)
	if e.Server != "" {
		fmt.Fprintf(&b, "  %s", clean(e.Server))
	}
	if e.Phase != "" {
		fmt.Fprintf(&b, "  %s", e.Phase)
	}
	if e.Runner != "" { // whose name has the pool's
		fmt.Fprintf(&b, "  %s", clean(e.Runner))
	} else if e.Pool != "" {
		fmt.Fprintf(&b, "  %s", clean(e.Pool))
	}
	if e.Job != 0 {
		fmt.Fprintf(&b, "  job %d", e.Job)
	}
	if e.Repo != "" {
		fmt.Fprintf(&b, "  %s", clean(e.Repo))
	}
	if e.Actor != "" {
		fmt.Fprintf(&b, "  by %s", clean(e.Actor))
	}
	if e.Text != "" {
		fmt.Fprintf(&b, "  %s", clean(e.Text))
	}
	b.WriteByte('\n')
	return b.Bytes()
}
