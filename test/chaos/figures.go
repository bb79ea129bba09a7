package main

import "fmt"

// figures are what a run is judged by.
type figures struct {
	kills     int
	jobs      int // all that were queued, but for those cancelled on purpose
	completed int // of these, the ones that succeeded
	// lost are jobs that did not succeed, for whatever reason.
	lost int
	// busyStopped are jobs whose runner was killed, removed or deregistered
	// while it had them.
	busyStopped int
	// corpses are runners of ours that Gitea still lists in the end, or listed
	// at some time without a record of them.
	corpses int
	// orphans are containers and records of ours that are left in the end,
	// and containers that were there at some time without a record of them.
	orphans int
	// foreignTouched are runners and containers of others that are gone,
	// changed, or were the object of a change.
	foreignTouched int

	edits, badEdits int // of the configuration
	// mistaken are edits that were not taken over, and bad ones that were, or
	// that nobody was told of.
	mistaken int

	orders    int // of people that the daemon has confirmed
	forgotten int // of these, the ones that did not hold
}

// String is the last line of the output.
func (f figures) String() string {
	s := fmt.Sprintf("kills=%d jobs=%d completed=%d lost=%d busy_stopped=%d corpses=%d orphans=%d foreign_touched=%d",
		f.kills, f.jobs, f.completed, f.lost, f.busyStopped, f.corpses, f.orphans, f.foreignTouched)
	if f.edits+f.badEdits > 0 {
		s += fmt.Sprintf(" edits=%d bad_edits=%d mistaken=%d", f.edits, f.badEdits, f.mistaken)
	}
	if f.orders > 0 {
		s += fmt.Sprintf(" orders=%d forgotten=%d", f.orders, f.forgotten)
	}
	return s
}

// good reports whether nothing was lost.
func (f figures) good() bool {
	return f.completed == f.jobs && f.lost+f.busyStopped+f.corpses+f.orphans+f.foreignTouched+f.mistaken+f.forgotten == 0
}

// add sums up two runs.
func (f figures) add(g figures) figures {
	return figures{
		kills: f.kills + g.kills, jobs: f.jobs + g.jobs, completed: f.completed + g.completed, lost: f.lost + g.lost,
		busyStopped: f.busyStopped + g.busyStopped, corpses: f.corpses + g.corpses, orphans: f.orphans + g.orphans,
		foreignTouched: f.foreignTouched + g.foreignTouched,
		edits:          f.edits + g.edits, badEdits: f.badEdits + g.badEdits, mistaken: f.mistaken + g.mistaken,
		orders: f.orders + g.orders, forgotten: f.forgotten + g.forgotten,
	}
}
