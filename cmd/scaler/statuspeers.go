package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"scaler.io/scaler/internal/plan"
)

// writePeers writes among which daemons the jobs are split, if they are.
func writePeers(b *bytes.Buffer, peers []plan.PeerStatus, now time.Time) {
	if len(peers) == 0 {
		return
	}
	section(b, "DAEMONS THAT SHARE THE JOBS (%d)", len(peers))
	rows := [][]string{{"NAME", "WEIGHT", "FREE", "JOBS"}}
	for _, p := range peers {
		name, jobs := clean(p.Name), "has its share"
		if p.Self {
			name += " (this one)"
		}
		if left := p.BehindUntil.Sub(now); left > 0 {
			jobs = "left some waiting, comes behind the others for " + age(left)
		}
		rows = append(rows, []string{name, strconv.Itoa(p.Weight), freeOf(p), jobs})
	}
	table(b, rows)
}

// freeOf says how many jobs more a daemon can take, as far as that is known.
func freeOf(p plan.PeerStatus) string {
	if p.Free == nil {
		return "unknown"
	}
	return fmt.Sprintf("%d of %d", *p.Free, p.Weight)
}
