package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// Control sequences of a terminal. Lines are overwritten one by one and not
// cleared before, which would flicker.
const (
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
)

// demoView shows the demo: on a terminal a picture that is drawn over, else a
// line whenever something has changed.
type demoView struct {
	out   io.Writer
	live  bool
	began time.Time
	jobs  int
	line  string // the last one
	drawn int    // lines of the last picture
}

func newDemoView(out io.Writer) *demoView {
	f, isFile := out.(*os.File)
	return &demoView{out: out, live: isFile && term.IsTerminal(int(f.Fd()))}
}

func (v *demoView) begin(jobs int, release giteatest.Profile, socket string) {
	v.began, v.jobs = time.Now(), jobs
	what := "An in-memory Gitea"
	if release.String() != "" {
		what = "An in-memory server that behaves as " + release.String()
	}
	fmt.Fprintf(v.out, "%s gets %d jobs; scaler starts a container for each and removes it after.\n", what, jobs)
	fmt.Fprintf(v.out, "In another terminal: docker ps, or scaler status --watch --socket %s\n\n", socket)
}

// show draws the present state.
func (v *demoView) show(state giteatest.State, status plan.Status) {
	if v.live {
		v.draw(state, status)
		return
	}
	line := v.counts(state, status)
	if line == v.line {
		return
	}
	v.line = line
	fmt.Fprintf(v.out, "%5.1fs  %s\n", time.Since(v.began).Seconds(), line)
}

// counts is the state in one line.
func (v *demoView) counts(state giteatest.State, status plan.Status) string {
	phases := map[plan.Phase]int{}
	for _, r := range status.Runners {
		phases[r.Phase]++
	}
	line := fmt.Sprintf("jobs: %2d waiting, %2d running, %2d of %d done   runners: %2d starting, %2d busy, %2d leaving",
		state.Jobs[giteatest.StatusQueued], state.Jobs[giteatest.StatusInProgress], state.Jobs[giteatest.StatusSuccess], v.jobs,
		phases[plan.PhaseStarting], phases[plan.PhaseBusy]+phases[plan.PhaseIdle],
		len(status.Runners)-phases[plan.PhaseStarting]-phases[plan.PhaseBusy]-phases[plan.PhaseIdle])
	for _, p := range status.Problems {
		line += "   problem: " + p.Subject + ": " + clean(p.Message)
	}
	return line
}

// draw draws a picture over the last one.
func (v *demoView) draw(state giteatest.State, status plan.Status) {
	var b bytes.Buffer
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.drawn)
	}
	lines := v.picture(state, status)
	for _, l := range lines {
		b.WriteString(l + clearLine + "\n")
	}
	b.WriteString(clearBelow)
	v.drawn = len(lines)
	_, _ = v.out.Write(b.Bytes())
}

// picture is the state in some lines that fit a small terminal.
func (v *demoView) picture(state giteatest.State, status plan.Status) []string {
	const width = 50
	done, running := state.Jobs[giteatest.StatusSuccess], state.Jobs[giteatest.StatusInProgress]
	full, half := done*width/v.jobs, (done+running)*width/v.jobs
	lines := []string{
		fmt.Sprintf("%5.1fs  [%s%s%s] %d of %d jobs done, %d running, %d waiting", time.Since(v.began).Seconds(),
			strings.Repeat("#", full), strings.Repeat("+", half-full), strings.Repeat(".", width-half),
			done, v.jobs, running, state.Jobs[giteatest.StatusQueued]),
		"",
	}
	for _, p := range status.Pools {
		lines = append(lines, fmt.Sprintf("  pool %-8s waiting %-3d starting %-3d idle %-3d busy %-3d leaving %-3d max %d",
			p.Name, p.Waiting, p.Starting, p.Idle, p.Busy, p.Leaving, p.Max))
	}
	lines = append(lines, "")
	for _, r := range status.Runners {
		job := ""
		if r.Job != 0 {
			job = fmt.Sprintf("job %d", r.Job)
		}
		lines = append(lines, fmt.Sprintf("  %-40s %-10s %s", r.Name, r.Phase, job))
	}
	for _, p := range status.Problems {
		lines = append(lines, cut("  problem: "+p.Subject+": "+clean(p.Message), 120))
	}
	return slices.Clip(lines)
}

func (v *demoView) end() { fmt.Fprintln(v.out) }

// summary prints the figures for people.
func (v *demoView) summary(f demoFigures) {
	fmt.Fprintf(v.out, "%d of %d jobs completed, with at most %d runners at once.\n", f.Completed, f.Jobs, f.PeakRunners)
	fmt.Fprintf(v.out, "A job waited   p50 %4d ms, p95 %4d ms, at most %d ms (the daemon polls each second).\n", f.Wait.P50, f.Wait.P95, f.Wait.Max)
	fmt.Fprintf(v.out, "A cold start   p50 %4d ms, p95 %4d ms, from the decision to the runner's job.\n", f.ColdStart.P50, f.ColdStart.P95)
	fmt.Fprintf(v.out, "%d runners registered, %d deregistered; left: %d in Gitea, %d containers.\n",
		f.Registered, f.Deregistered, f.LeftInGitea, f.LeftContainers)
	if f.Kept > 0 {
		fmt.Fprintf(v.out, "This server cannot delete runners: %d identities are kept to be used again.\n", f.Kept)
	}
}
