package pool

import (
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// readShared is how many jobs are read at most where they are split, unless the
// pools can serve more by themselves.
const readShared = 500

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
}

// share says in the snapshot whose its jobs are.
func (m *Manager) share(snap *plan.Snapshot) {
	if m.split == nil {
		return
	}
	snap.Shares = m.split.Look(snap.Jobs, snap.Runners, snap.Now, len(snap.Unknown) > 0)
	snap.Balances = m.split.Balances()
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
func (m *Manager) peers() []plan.PeerStatus {
	if m.split == nil {
		return nil
	}
	sharing, behind := m.split.Sharing(), m.split.Left()
	list := make([]plan.PeerStatus, 0, len(sharing.Peers))
	for _, p := range sharing.Peers {
		list = append(list, plan.PeerStatus{Name: p.Name, Self: p.Name == sharing.Self, Weight: max(p.Weight, 1), BehindUntil: behind[p.Name]})
	}
	slices.SortFunc(list, func(a, b plan.PeerStatus) int { return strings.Compare(a.Name, b.Name) })
	return list
}
