package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"scaler.io/scaler/internal/plan"
)

const (
	// readShared is how many jobs are read at most where they are split, unless the
	// pools can serve more by themselves.
	readShared = 500
	// bootsJudged is how many of the last starts say how long one takes, and
	// bootsNeeded how many it takes to say so.
	bootsJudged, bootsNeeded = 20, 5
	// handoverBoots is how many times as long as a start a handover should be.
	handoverBoots = 4
)

// setSharing has the jobs be split among the daemons that are configured.
func (m *Manager) setSharing(s plan.Sharing) {
	before := m.split
	switch {
	case len(s.Peers) == 0:
		m.split = nil
	case before == nil:
		m.split = plan.NewSplit(s)
	case !before.Sharing().Equal(s):
		m.split = plan.NewSplit(s)
		m.split.Adopt(before)
	}
	m.judgeHandover(time.Now())
}

// noteBoot notes how long a runner took from the decision to start it until it was
// online.
func (m *Manager) noteBoot(took time.Duration, now time.Time) {
	if m.split == nil {
		return
	}
	if len(m.boots) == bootsJudged {
		m.boots = slices.Delete(m.boots, 0, 1)
	}
	m.boots = append(m.boots, took)
	m.judgeHandover(now)
}

// judgeHandover says so if the handover is too short: after half of it the next
// daemon takes a job, and a runner that is not online by then was started in vain.
func (m *Manager) judgeHandover(now time.Time) {
	const subject = "peers"
	if m.split == nil || len(m.boots) < bootsNeeded {
		m.conditions.set(subject, "", now)
		return
	}
	handover, usual := m.split.Sharing().Handover, slices.Sorted(slices.Values(m.boots))[len(m.boots)/2]
	if usual <= handover/2 {
		m.conditions.set(subject, "", now)
		return
	}
	m.conditions.setCause(subject, handover.String(), fmt.Sprintf(
		"runners usually take %s to come online, and after half of peers.handover, which is %s, other daemons start runners for the same jobs: set it to %s in all of them, or have runners start faster",
		usual.Round(100*time.Millisecond), handover, (handoverBoots*usual).Round(time.Second)), now)
}

// judgeInstance says so if the daemons know this one by another instance than it
// has: they take it for one whose runners have no jobs.
func (m *Manager) judgeInstance(now time.Time) {
	message := ""
	for _, p := range m.cfg.Sharing.Peers {
		if p.Name == m.cfg.Sharing.Self && p.Instance != "" && p.Instance != m.instance {
			message = fmt.Sprintf("%s has instance %s there, but its own is %s, so that all daemons take it for one without jobs: write that in all of them", p.Name, p.Instance, m.instance)
		}
	}
	m.conditions.set("peers.daemons", message, now)
}

// countBusy reads the running jobs of the scopes of which nobody needed them, if
// a job has come that is to be split by how many runners of each daemon are busy.
// A daemon with runners of its own reads them anyway. If they cannot be read the
// daemons' weights hold for that job, and nothing is lost.
func (m *Manager) countBusy(ctx context.Context, seen *observation) {
	if !m.splitsByRoom(seen) || !m.hasNewJob(seen) {
		return
	}
	var group errgroup.Group
	for scope, v := range seen.scopes {
		if v.counted || v.err != nil {
			continue
		}
		group.Go(func() error {
			if err := m.viewRunning(ctx, scope, v); err != nil {
				m.log.Debug("jobs of other daemons not counted", "scope", scope.String(), "err", err)
			}
			return nil
		})
	}
	group.Wait()
}

// splitsByRoom reports whether the jobs are split by room, and the server tells
// which runner has which.
func (m *Manager) splitsByRoom(seen *observation) bool {
	return m.split != nil && m.split.ByRoom() && seen.source == plan.SourceList && seen.caps.RunningNamesRunner
}

// hasNewJob reports whether a job waits that is not split yet.
func (m *Manager) hasNewJob(seen *observation) bool {
	for _, v := range seen.scopes {
		for i := range v.queued {
			if !m.split.Knows(v.queued[i].ID) {
				return true
			}
		}
	}
	return false
}

// share says in the snapshot whose its jobs are.
func (m *Manager) share(snap *plan.Snapshot, seen *observation) {
	if m.split == nil {
		return
	}
	sight := plan.Sight{Now: snap.Now, Jobs: snap.Jobs, Runners: snap.Runners, Unread: len(snap.Unknown) > 0}
	if m.splitsByRoom(seen) && seen.counted() {
		sight.Running, sight.Counted = seen.running(), true
	}
	snap.Shares = m.split.Look(sight)
	snap.Balances = m.split.Balances()
}

// counted reports whether all jobs are known that some runner has.
func (o *observation) counted() bool {
	for _, v := range o.scopes {
		if !v.counted || v.err != nil {
			return false
		}
	}
	return true
}

// noteShares notes what the plan has for the jobs, and which pools are full.
func (m *Manager) noteShares(p plan.Plan, now time.Time) {
	if m.split == nil {
		return
	}
	m.split.Note(p.Decisions)
	for _, c := range p.Pools {
		if c.Full {
			m.recentOf(c.Name).FullAt = now
		}
	}
}

// noteUnseenJob notes that a runner has had a job that no list showed.
func (m *Manager) noteUnseenJob(res result) {
	if m.split != nil && res.worked && !res.rec.Used && res.rec.Jobs == 0 {
		m.split.Took(res.rec.Pool, time.Now())
	}
}

// readLimit is how many jobs are read for pools that can serve so many: with the
// others' jobs among them there have to be more.
func (m *Manager) readLimit(most int) int {
	if m.split == nil || most >= readShared {
		return most
	}
	return min(most*len(m.split.Sharing().Peers), readShared)
}

// peers lists the daemons that the jobs are split among.
func (m *Manager) peers(now time.Time) []plan.PeerStatus {
	if m.split == nil {
		return nil
	}
	sharing, behind, free := m.split.Sharing(), m.split.Left(), m.split.Free(now)
	list := make([]plan.PeerStatus, 0, len(sharing.Peers))
	for _, p := range sharing.Peers {
		q := plan.PeerStatus{Name: p.Name, Self: p.Name == sharing.Self, Weight: max(p.Weight, 1), BehindUntil: behind[p.Name]}
		if n, known := free[p.Name]; known {
			q.Free = &n
		}
		list = append(list, q)
	}
	slices.SortFunc(list, func(a, b plan.PeerStatus) int { return strings.Compare(a.Name, b.Name) })
	return list
}
