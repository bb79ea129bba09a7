package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Bounds of a look at what the daemon makes of an edit. A cycle in which Gitea
// does not answer lasts long.
const (
	checkPatience = time.Minute
	checkPause    = 20 * time.Millisecond
)

// snapshot is what the daemon shows of its configuration.
type snapshot struct {
	config plan.ConfigStatus
	pools  []poolSnapshot
	cycle  uint64
}

// poolSnapshot is what is configured of a pool.
type poolSnapshot struct {
	name, scope    string
	labels         []string
	min, idle, max int
	window         string
}

func snapshotOf(s plan.Status) snapshot {
	out := snapshot{config: s.Config, cycle: s.Cycle}
	for _, p := range s.Pools {
		out.pools = append(out.pools, poolSnapshot{p.Name, p.Scope, p.Labels, p.Min, p.IdleWant, p.Max, p.Window})
	}
	return out
}

// check looks at what the daemon shows until it is right, and reports whether it
// became so. wrong says what is not right yet. A daemon that is killed or told
// to end proves nothing.
func (e *editor) check(ctx context.Context, p *process, what string, wrong func(snapshot) string) bool {
	deadline := time.Now().Add(checkPatience)
	fault := "it does not answer"
	for time.Now().Before(deadline) {
		s, err := e.client.Status(ctx)
		if p.told() || p.over() || ctx.Err() != nil {
			return false
		}
		if err == nil {
			if fault = wrong(snapshotOf(s)); fault == "" {
				e.checked++
				return true
			}
		}
		if !rest(ctx, checkPause) {
			return false
		}
	}
	e.failed(p, "%s: %s", what, fault)
	return false
}

// failed notes that the daemon did not do with an edit what it is to do.
func (e *editor) failed(p *process, format string, args ...any) {
	if p.told() || p.over() {
		return
	}
	e.wrong++
	e.find(format, args...)
}

// differs says in what the daemon does not go by the fleet, as far as it shows
// that.
func (s snapshot) differs(f fleet) string {
	switch {
	case s.config.Error != "":
		return "refused: " + s.config.Error
	case len(s.config.Restart) > 0:
		return "asks for a restart: " + strings.Join(s.config.Restart, "; ")
	case len(s.pools) != len(f.pools):
		return fmt.Sprintf("%d pools, want %d", len(s.pools), len(f.pools))
	}
	scopes := map[string]string{instanceToken: "instance", orgToken: "org:" + orgName}
	for i, p := range f.pools {
		got := s.pools[i]
		if got.name != p.name || got.scope != scopes[p.token] || !slices.Equal(got.labels, p.labels) {
			return fmt.Sprintf("pool %+v, want %+v", got, p)
		}
		if got.window == "" && (got.min != p.min || got.idle != p.idle && !p.auto || got.max != p.max) {
			return fmt.Sprintf("pool %+v, want %+v", got, p)
		}
	}
	return ""
}

// reports says in what the daemon does not tell of a bad edit, or has taken
// something of it over.
func (s snapshot) reports(b badEdit, before snapshot) string {
	switch {
	case b.restart && (s.config.Error != "" || len(s.config.Restart) == 0):
		return fmt.Sprintf("no word of a restart, %+v", s.config)
	case !b.restart && s.config.Error == "":
		return fmt.Sprintf("no word of a fault, %+v", s.config)
	case s.cycle < before.cycle+2:
		return "no cycle since"
	}
	return s.changed(before)
}

// restored says in what the daemon is not as before a bad edit.
func (s snapshot) restored(before snapshot) string {
	if s.config.Error != "" || len(s.config.Restart) > 0 {
		return fmt.Sprintf("still reported: %+v", s.config)
	}
	return s.changed(before)
}

// changed says in what the daemon's configuration is not what it was.
func (s snapshot) changed(before snapshot) string {
	was, is := before.pools, s.pools
	for i := range min(len(was), len(is)) {
		if was[i].window != is[i].window { // the clock has changed its numbers
			was, is = slices.Clone(was), slices.Clone(is)
			was[i], is[i] = poolSnapshot{}, poolSnapshot{}
		}
	}
	switch {
	case !s.config.LoadedAt.Equal(before.config.LoadedAt):
		return fmt.Sprintf("something was taken over at %s", s.config.LoadedAt)
	case !reflect.DeepEqual(was, is):
		return fmt.Sprintf("pools %+v, before %+v", is, was)
	}
	return ""
}
