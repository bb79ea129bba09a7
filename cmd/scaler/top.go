package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
)

// topSample is how long the CPU use is measured over where the table is printed
// just once.
const topSample = time.Second

// What the table can be sorted by.
var topOrders = map[string]func(a, b topRow) int{
	"cpu":    func(a, b topRow) int { return cmp.Compare(b.CPU, a.CPU) },
	"memory": func(a, b topRow) int { return cmp.Compare(b.Memory, a.Memory) },
	"age":    func(a, b topRow) int { return a.Since.Compare(b.Since) },
	"pool":   func(a, b topRow) int { return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Runner, b.Runner)) },
}

func newTopCommand() *cobra.Command {
	var flags daemonFlags
	t := top{}
	var asJSON bool
	cmd := &cobra.Command{
		Use: "top [POOL...]", Short: "Show the runners with what they use of the machine", ValidArgsFunction: completePools(&flags, nil),
		Long: `Show the runners whose containers run, with their CPU time and memory. On a terminal
the table is drawn anew every second until q or Ctrl-C; elsewhere, with --once and
with --json, it is printed once, which takes a second.

CPU is in percent of one CPU over the time since the last look. MEMORY is without
what the kernel could drop at once. Both are of the runner's container: jobs that a
runner starts in containers of their own, through the engine's socket, are not in it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if topOrders[t.sort] == nil {
				return &usageError{fmt.Sprintf("--sort %q: want cpu, memory, age or pool", t.sort)}
			}
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			t.source, t.pools = d.client, args
			if out, ok := terminal(cmd.OutOrStdout()); ok && !t.once && !asJSON {
				return fullScreen(cmd.Context(), cmd.InOrStdin(), out, &topScreen{top: &t})
			}
			if _, _, err := t.look(cmd.Context()); err != nil {
				return err
			}
			select {
			case <-time.After(topSample):
			case <-cmd.Context().Done():
				return context.Cause(cmd.Context())
			}
			rows, s, err := t.look(cmd.Context())
			if err != nil {
				return err
			}
			t.order(rows)
			return show(cmd, asJSON, rows, func(b *bytes.Buffer) {
				writeTop(b, rows, s, time.Now(), unlimited)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&t.sort, "sort", "cpu", "`ORDER` of the rows: cpu, memory, age or pool")
	cmd.Flags().BoolVar(&t.once, "once", false, "print the table once")
	addJSONFlag(cmd, &asJSON)
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(topViews, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// topSource is a daemon whose runners are looked at.
type topSource interface {
	Status(context.Context) (plan.Status, error)
	Usage(ctx context.Context, runners []string) ([]plan.Usage, error)
}

// top looks at what runners use.
type top struct {
	source topSource
	pools  []string // empty for all
	sort   string
	once   bool
	last   map[string]plan.Usage // by runner
}

// topRow is one runner in the table.
type topRow struct {
	Runner string     `json:"runner"`
	Pool   string     `json:"pool"`
	Phase  plan.Phase `json:"phase"`
	Since  time.Time  `json:"since"` // in that phase
	Job    int64      `json:"job,omitempty"`
	// CPU is in percent of one CPU, since the last look; -1 if that is not known.
	CPU         float64 `json:"cpu_percent"`
	Memory      int64   `json:"memory"` // bytes
	MemoryLimit int64   `json:"memory_limit,omitempty"`
	Processes   int     `json:"processes"`
}

// topMost is how many runners are asked about at a time.
const topMost = 200

// look asks for all that is shown. The rows are in no order.
func (t *top) look(ctx context.Context) (rows []topRow, s plan.Status, err error) {
	s, err = t.source.Status(ctx)
	if err != nil {
		return nil, s, err
	}
	var names []string
	byName := make(map[string]plan.RunnerStatus)
	for _, r := range s.Runners {
		if r.StartedAt.IsZero() || len(t.pools) > 0 && !slices.Contains(t.pools, r.Pool) {
			continue
		}
		names, byName[r.Name] = append(names, r.Name), r
	}
	now := make(map[string]plan.Usage)
	for part := range slices.Chunk(names, topMost) {
		usage, err := t.source.Usage(ctx, part)
		if err != nil {
			return nil, s, err
		}
		for _, u := range usage {
			now[u.Runner] = u
		}
	}
	rows = []topRow{}
	for name, u := range now {
		r := byName[name]
		rows = append(rows, topRow{Runner: name, Pool: r.Pool, Phase: r.Phase, Since: r.Since, Job: r.Job,
			CPU: percent(t.last[name], u), Memory: u.Memory, MemoryLimit: u.MemoryLimit, Processes: u.Processes})
	}
	t.last = now
	return rows, s, nil
}

// order sorts the rows as it is chosen.
func (t *top) order(rows []topRow) {
	slices.SortFunc(rows, func(a, b topRow) int { return cmp.Or(topOrders[t.sort](a, b), cmp.Compare(a.Runner, b.Runner)) })
}

// percent is how busy a CPU was between two looks, -1 if that is not known.
func percent(before, after plan.Usage) float64 {
	took := after.At.Sub(before.At)
	if before.At.IsZero() || took <= 0 {
		return -1
	}
	return 100 * max(after.CPU-before.CPU, 0).Seconds() / took.Seconds()
}

// writeTop writes the table, so that it fits the width.
func writeTop(b *bytes.Buffer, rows []topRow, s plan.Status, now time.Time, width int) {
	cpu, memory := 0.0, int64(0)
	table := [][]string{{"RUNNER", "POOL", "PHASE", "FOR", "JOB", "CPU", "MEMORY", "PROCESSES"}}
	for _, r := range rows {
		used := "-"
		if r.CPU >= 0 {
			cpu += r.CPU
			used = strconv.FormatFloat(r.CPU, 'f', 1, 64) + " %"
		}
		memory += r.Memory
		table = append(table, []string{shortName(r.Runner, width), r.Pool, string(r.Phase), age(now.Sub(r.Since)), jobID(r.Job), used, bytesText(r.Memory), strconv.Itoa(r.Processes)})
	}
	fmt.Fprintf(b, "%d of %d runners run: %.0f %% of a CPU, %s of memory. %d jobs wait.\n\n", len(rows), len(s.Runners), cpu, bytesText(memory), max(s.QueueSize, len(s.Queue)))
	fitTable(b, table, width, "PROCESSES", "POOL", "JOB", "FOR", "PHASE", "MEMORY")
}

// topScreen is the table on a terminal.
type topScreen struct {
	*top
	rows []topRow
	at   plan.Status
}

func (t *topScreen) fetch(ctx context.Context) (take func(), err error) {
	rows, s, err := t.look(ctx)
	return func() { t.rows, t.at = rows, s }, err
}

// topViews are the orders in which the table can be looked at.
var topViews = []string{"cpu", "memory", "age", "pool"}

func (t *topScreen) views() []string { return topViews }

func (t *topScreen) choose(view int) { t.sort = topViews[view] }

func (t *topScreen) chosen() int { return slices.Index(topViews, t.sort) }

func (t *topScreen) draw(b *bytes.Buffer, now time.Time, width int) {
	t.order(t.rows)
	writeTop(b, t.rows, t.at, now, width)
}
