package host

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"time"

	"github.com/docker/go-units"

	"scaler.io/scaler/internal/plan"
)

// A gate that has shut opens again only when its value is well within the
// limit, and not at once, so that it does not flap around it.
const (
	margin   = 0.1 // of the limit
	shutTime = 5 * time.Second
)

// reading is a measured value with its limit.
type reading struct {
	value, limit float64
	floor        bool // the limit is the least that there has to be, not the most
}

// beyond reports whether the value is on the wrong side of its limit.
func (r reading) beyond() bool {
	if r.floor {
		return r.value < r.limit
	}
	return r.value > r.limit
}

// reopen is the value at which a shut gate opens.
func (r reading) reopen() float64 {
	if r.floor {
		return r.limit * (1 + margin)
	}
	return r.limit * (1 - margin)
}

// well reports whether the value is good enough to open a shut gate.
func (r reading) well() bool {
	if r.floor {
		return r.value >= r.reopen()
	}
	return r.value <= r.reopen()
}

// latch is a gate that is shut since a time, or open.
type latch struct {
	shut  bool
	since time.Time
}

// after is what becomes of the latch with a reading.
func (l latch) after(r reading, now time.Time) latch {
	switch {
	case !l.shut && r.beyond():
		return latch{shut: true, since: now}
	case l.shut && r.well() && now.Sub(l.since) >= shutTime:
		return latch{}
	}
	return l
}

// gate is one limit. Its last fields are its state, which the Monitor guards.
type gate struct {
	kind plan.HostKind
	path string // for the free space of a disk
	read func() (reading, error)

	latch latch
	last  reading   // the last good one
	at    time.Time // when that was, zero for never
	asked bool      // there was an answer, or an error
	err   error     // of the last try
}

// take takes over what a try to read has given.
func (g *gate) take(r reading, err error, now time.Time) {
	g.asked, g.err = true, err
	if err == nil {
		g.last, g.at = r, now
		g.latch = g.latch.after(r, now)
	}
}

// known reports whether the last good reading still counts.
func (g *gate) known(now time.Time) bool { return !g.at.IsZero() && now.Sub(g.at) <= staleAfter }

// why says why nothing new may start on account of the gate, or nothing.
func (g *gate) why(now time.Time) string {
	switch {
	case !g.known(now):
		return g.whyUnknown(now)
	case !g.latch.shut:
		return ""
	case g.last.beyond():
		return g.whyShut()
	}
	return g.whyShut() + fmt.Sprintf("; it ends at %s, after %s at the earliest", g.amount(g.last.reopen()), shutTime)
}

func (g *gate) whyShut() string {
	value, limit := g.amount(g.last.value), g.amount(g.last.limit)
	switch g.kind {
	case plan.HostFreeMemory:
		return fmt.Sprintf("the host is short of memory: %s are available, the limit is %s", value, limit)
	case plan.HostFreeDisk:
		return fmt.Sprintf("the host is short of disk space: %s are free in %s, the limit is %s", value, g.path, limit)
	}
	return fmt.Sprintf("the host is under %s pressure: %s of the last 10 s some task waited for %s, the limit is %s",
		g.resource(), value, g.resource(), limit)
}

// whyUnknown says why there is no value, and what to do.
func (g *gate) whyUnknown(now time.Time) string {
	what := g.resource() + " pressure"
	switch g.kind {
	case plan.HostFreeMemory:
		what = "free memory"
	case plan.HostFreeDisk:
		what = "free space of " + g.path
	}
	cause := "no answer yet"
	switch {
	case g.err != nil:
		cause = g.err.Error()
	case !g.at.IsZero():
		cause = fmt.Sprintf("no answer for %s", now.Sub(g.at).Round(time.Second))
	}
	return fmt.Sprintf("%s cannot be measured: %s: %s", what, cause, g.remedy())
}

// remedy says what to do where nothing can be measured.
func (g *gate) remedy() string {
	switch {
	case g.kind == plan.HostFreeDisk:
		return "look at that file system, or remove the path from limits.pressure.disk_paths"
	case g.kind == plan.HostFreeMemory:
		return "let scaler read /proc/meminfo (under systemd: ProcSubset=all), or remove limits.pressure.free_memory"
	case errors.Is(g.err, fs.ErrNotExist) || errors.Is(g.err, errors.ErrUnsupported):
		return fmt.Sprintf("boot the kernel with psi=1 if it has no /proc/pressure, let scaler see it (under systemd: ProcSubset=all), "+
			"or remove limits.pressure.%s", g.kind)
	}
	return fmt.Sprintf("let scaler read /proc/pressure, or remove limits.pressure.%s", g.kind)
}

// resource is what tasks wait for, in words.
func (g *gate) resource() string {
	switch g.kind {
	case plan.HostCPU:
		return "CPU"
	case plan.HostIO:
		return "I/O"
	}
	return string(g.kind)
}

// amount writes a value of the gate with its unit.
func (g *gate) amount(v float64) string {
	if g.kind == plan.HostFreeMemory || g.kind == plan.HostFreeDisk {
		return units.BytesSize(v)
	}
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) + " %"
}
