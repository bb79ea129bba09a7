package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// spareLabels are labels that no job asks for.
var spareLabels = []string{"spare", "other"}

// missingImage is an image that no engine has.
const missingImage = "scaler-chaos-missing:1"

// edit returns the fleet with up to three changes, such as people make them.
// All that edit makes is valid. Now and then it begins with the full fleet, so
// that no pool is away for long.
func edit(r *rand.Rand, now, full fleet, images []string) fleet {
	f := now.clone()
	if r.IntN(4) == 0 {
		f = full.clone()
	}
	for range 1 + r.IntN(3) {
		if r.IntN(3) == 0 {
			editFleet(r, &f, full)
			continue
		}
		editPool(r, &f.pools[r.IntN(len(f.pools))], images)
	}
	f.mend()
	return f
}

// editFleet changes what is not of one pool.
func editFleet(r *rand.Rand, f *fleet, full fleet) {
	switch r.IntN(11) {
	case 0, 1: // a pool goes
		if len(f.pools) > 1 {
			i := r.IntN(len(f.pools))
			f.pools = slices.Delete(f.pools, i, i+1)
		}
	case 2, 3: // one comes back
		for _, p := range full.clone().pools {
			if !f.has(p.name) {
				f.pools = slices.Insert(f.pools, r.IntN(len(f.pools)+1), p)
				return
			}
		}
	case 4: // a copy of one under a new name
		p := f.clone().pools[r.IntN(len(f.pools))]
		p.name += "copy"
		if !f.has(p.name) && len(p.name) < 20 {
			f.pools = append(f.pools, p)
		}
	case 5:
		r.Shuffle(len(f.pools), func(i, j int) { f.pools[i], f.pools[j] = f.pools[j], f.pools[i] })
	case 6:
		f.runners, f.parallel = 4+r.IntN(maxRunners-3), 1+r.IntN(parallelStarts)
	case 7:
		f.poll = full.poll + time.Duration(r.Int64N(int64(2*full.poll)))
		f.active = min(f.poll, 50*time.Millisecond+time.Duration(r.Int64N(int64(200*time.Millisecond)))).Truncate(time.Millisecond)
		f.poll = f.poll.Truncate(time.Millisecond)
	case 8:
		f.settle = full.settle + time.Duration(r.IntN(3))*100*time.Millisecond
		f.shutdown = full.shutdown + time.Duration(r.IntN(30))*time.Second
	case 9:
		f.registration = 300 + r.IntN(300)
		f.logLevel = []string{"info", "debug"}[r.IntN(2)]
	case 10:
		f.disabled = []string{"", "", instanceToken, orgToken}[r.IntN(4)]
	}
}

// editPool changes one pool.
func editPool(r *rand.Rand, p *pool, images []string) {
	switch r.IntN(18) {
	case 0, 1:
		p.max = 1 + r.IntN(5)
	case 2:
		p.min = r.IntN(3)
	case 3:
		p.idle = r.IntN(3)
	case 4:
		p.idleTimeout = []time.Duration{0, 300 * time.Millisecond, time.Second, 3 * time.Second}[r.IntN(4)]
		p.bootTimeout = time.Duration(1+r.IntN(3)) * time.Minute
	case 5, 6:
		p.image = images[r.IntN(len(images))]
		if r.IntN(8) == 0 {
			p.image = missingImage
		}
	case 7, 8:
		p.ephemeral = !p.ephemeral
	case 9, 10: // which is a removal and an addition
		if n := len(p.name); p.name[n-1] == 'x' && p.name != "linux" {
			p.name = p.name[:n-1]
		} else {
			p.name += "x"
		}
	case 11:
		p.editLabels(r)
	case 14:
		p.standby = r.IntN(mostStandby + 1)
	case 15:
		p.auto = !p.auto
	case 16: // for other jobs: its runners cannot serve them
		p.labels = slices.Clone(jobLabels[r.IntN(len(jobLabels))])
	case 17: // of another scope: likewise
		p.token = []string{instanceToken, orgToken}[r.IntN(2)]
	case 12:
		p.schedule = windows[r.IntN(len(windows))]
	case 13:
		p.container = []string{"", ", cpus: 0.5", ", memory: 256m, cpus: 1.5", fmt.Sprintf(", env: {EDIT: %q}", fmt.Sprint(r.IntN(1000)))}[r.IntN(4)]
	}
}

// jobLabels are labels that jobs ask for, as a pool may have them.
var jobLabels = [][]string{{"linux"}, {"warm", "linux"}, {"builder"}, {"keeper"}, {"builder", "keeper"}}

// mostStandby is how many runners a pool keeps on standby at most.
const mostStandby = 2

// editLabels adds a label or takes one away that no job asks for.
func (p *pool) editLabels(r *rand.Rand) {
	l := spareLabels[r.IntN(len(spareLabels))]
	if i := slices.Index(p.labels, l); i >= 0 && len(p.labels) > 1 {
		p.labels = slices.Delete(p.labels, i, i+1)
		return
	}
	if !slices.Contains(p.labels, l) {
		p.labels = append(p.labels, l)
	}
}

// windows are schedules, most of which hold at all times.
var windows = []string{
	"", "",
	`[{cron: "* * * * *", duration: 1m, max: 0, min: 0, idle: 0}]`,
	`[{cron: "* * * * *", duration: 2m, max: 2, min: 0, idle: 1, idle_timeout: 500ms}]`,
	`[{cron: "*/2 * * * *", duration: 1m, max: 3, min: 1, idle: 0}, {cron: "0 8 * * 1-5", duration: 10h, timezone: Europe/Berlin, max: 4, min: 0, idle: 2}]`,
}

func (f fleet) has(name string) bool {
	return slices.ContainsFunc(f.pools, func(p pool) bool { return p.name == name })
}

// mend makes the numbers fit together, and the names differ.
func (f *fleet) mend() {
	total := 0
	for i := range f.pools {
		p := &f.pools[i]
		p.min, p.idle, p.standby = min(p.min, p.max), min(p.idle, p.max), min(p.standby, p.max)
		p.min = min(p.min, f.runners-total)
		total += p.min
		for (fleet{pools: f.pools[:i]}).has(p.name) {
			p.name += "x"
		}
	}
}
