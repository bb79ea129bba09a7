package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const testHandover = 10 * time.Second

func peersOf(n int, weight func(i int) int) []Peer {
	peers := make([]Peer, n)
	for i := range peers {
		peers[i] = Peer{Name: fmt.Sprintf("build-%d", i+1), Weight: weight(i)}
	}
	return peers
}

func alike(int) int { return 1 }

// splits makes the split of each of some daemons.
func splits(peers []Peer) []*Split {
	list := make([]*Split, len(peers))
	for i, p := range peers {
		list[i] = NewSplit(Sharing{Self: p.Name, Peers: peers, Handover: testHandover})
	}
	return list
}

func someJobs(n int) []Job {
	jobs := make([]Job, n)
	for i := range jobs {
		jobs[i] = seen(job(int64(i+1), "linux"), 0)
	}
	return jobs
}

func TestEachJobBelongsToOneDaemonThatAllAgreeOn(t *testing.T) {
	jobs := someJobs(500)
	all := splits(peersOf(7, alike))
	takers := make(map[int64][]string)
	owners := make(map[int64]string)
	for _, s := range all {
		for id, h := range s.Look(Sight{Now: now, Jobs: jobs}) {
			if owners[id] != "" && owners[id] != h.Owner {
				t.Fatalf("job %d belongs to %s and to %s", id, owners[id], h.Owner)
			}
			owners[id] = h.Owner
			if h.After == 0 {
				takers[id] = append(takers[id], s.Sharing().Self)
			}
			if h.After < 0 || h.After > testHandover {
				t.Errorf("job %d is handed over after %v", id, h.After)
			}
		}
	}
	for _, j := range jobs {
		if len(takers[j.ID]) != 1 || takers[j.ID][0] != owners[j.ID] {
			t.Errorf("job %d of %s is taken by %v", j.ID, owners[j.ID], takers[j.ID])
		}
	}
}

func TestTurnsComeOneAfterAnotherWithinTheHandover(t *testing.T) {
	for _, s := range splits(peersOf(12, alike)) {
		if s.turnAt(0) != 0 || s.turnAt(1) != testHandover/2 || s.turnAt(2) != testHandover*3/4 || s.turnAt(50) > testHandover {
			t.Fatalf("turns at %v, %v, %v, %v", s.turnAt(0), s.turnAt(1), s.turnAt(2), s.turnAt(50))
		}
	}
	// Ranks differ from daemon to daemon.
	at := make(map[time.Duration]int)
	for _, s := range splits(peersOf(12, alike)) {
		at[s.Look(Sight{Now: now, Jobs: someJobs(1)})[1].After]++
	}
	if len(at) != 12 {
		t.Errorf("12 daemons have %d different turns: %v", len(at), at)
	}
}

func TestJobsFollowTheWeights(t *testing.T) {
	peers := peersOf(5, func(i int) int { return i + 1 })
	const n = 30000
	count := make(map[string]int)
	for _, h := range splits(peers)[0].Look(Sight{Now: now, Jobs: someJobs(n)}) {
		count[h.Owner]++
	}
	for _, p := range peers {
		share := float64(p.Weight) / 15
		want, tolerance := share*n, 4*math.Sqrt(share*(1-share)*n)
		if got := float64(count[p.Name]); math.Abs(got-want) > tolerance {
			t.Errorf("%s with weight %d has %.0f of %d jobs, want %.0f ± %.0f", p.Name, p.Weight, got, n, want, tolerance)
		}
	}
}

func TestFewJobsMoveWhenDaemonsComeAndGo(t *testing.T) {
	jobs := someJobs(5000)
	before := NewSplit(Sharing{Self: "build-1", Peers: peersOf(10, alike), Handover: testHandover}).Look(Sight{Now: now, Jobs: jobs})
	after := NewSplit(Sharing{Self: "build-1", Peers: peersOf(11, alike), Handover: testHandover}).Look(Sight{Now: now, Jobs: jobs})
	moved := 0
	for id, h := range after {
		switch {
		case h.Owner == before[id].Owner:
		case h.Owner != "build-11":
			t.Fatalf("job %d moved from %s to %s when build-11 came", id, before[id].Owner, h.Owner)
		default:
			moved++
		}
	}
	if moved < 350 || moved > 560 { // an eleventh is 455
		t.Errorf("%d of %d jobs moved to the one that came", moved, len(jobs))
	}
}

func TestNeighbourThatLeavesJobsComesBehindForAWhile(t *testing.T) {
	s := NewSplit(Sharing{Self: "build-1", Peers: peersOf(3, alike), Handover: testHandover})
	jobs := someJobs(60)
	first := s.Look(Sight{Now: now, Jobs: jobs})
	var left []Job // those of build-2 wait on
	for _, j := range jobs {
		if first[j.ID].Owner == "build-2" {
			left = append(left, j)
		}
	}
	s.Look(Sight{Now: now.Add(testHandover / 2), Jobs: left})
	if until := s.Left()["build-2"]; len(s.Left()) != 1 || !until.Equal(now.Add(testHandover/2+passFor*testHandover)) {
		t.Fatalf("left are %v", s.Left())
	}
	fresh := func(at time.Time, labels ...string) map[string]int {
		count := make(map[string]int)
		var come []Job
		for i := range 300 {
			j := job(int64(1000*(len(labels[0])+at.Minute()+1)+i), labels...)
			j.SeenAt = at
			come = append(come, j)
		}
		for id, h := range s.Look(Sight{Now: at, Jobs: append(come, left...)}) {
			if id >= 1000 {
				count[h.Owner]++
			}
		}
		return count
	}
	at := now.Add(testHandover/2 + time.Second)
	if got := fresh(at, "linux"); got["build-2"] != 0 || got["build-1"] == 0 || got["build-3"] == 0 {
		t.Errorf("new jobs belong to %v", got)
	}
	if got := fresh(at, "arm"); got["build-2"] == 0 {
		t.Errorf("jobs with other labels belong to %v", got)
	}
	left = nil
	if got := fresh(now.Add(20*testHandover), "linux"); got["build-2"] == 0 {
		t.Errorf("long after, new jobs belong to %v", got)
	}
}

func TestBlindTimeSaysNothingOfNeighbours(t *testing.T) {
	s := NewSplit(Sharing{Self: "build-1", Peers: peersOf(3, alike), Handover: testHandover})
	jobs := someJobs(30)
	s.Look(Sight{Now: now, Jobs: jobs})
	s.Look(Sight{Now: now.Add(time.Hour), Jobs: jobs[:3], Unread: true}) // the server was away
	shares := s.Look(Sight{Now: now.Add(time.Hour + time.Second), Jobs: jobs})
	if len(s.Left()) > 0 {
		t.Errorf("left are %v", s.Left())
	}
	for id, h := range shares {
		if !h.Since.Equal(now.Add(time.Hour)) {
			t.Fatalf("job %d waits since %v", id, h.Since)
		}
	}
}

func TestJobsOfOthersAreLeftAndThenTaken(t *testing.T) {
	s := NewSplit(Sharing{Self: "build-1", Peers: peersOf(2, alike), Handover: testHandover})
	jobs := someJobs(20)
	shares := s.Look(Sight{Now: now, Jobs: jobs})
	spec := Spec{Pools: []Pool{linux(func(p *Pool) { p.Max = 50 })}}
	out := Compute(spec, Snapshot{Now: now, Jobs: jobs, Shares: shares})
	mine := 0
	for _, d := range out.Decisions {
		own := shares[d.Job.ID].Owner == "build-1"
		if own != d.Served() {
			t.Errorf("job %d of %s: served %v: %s", d.Job.ID, shares[d.Job.ID].Owner, d.Served(), d.Reason)
		}
		if own {
			mine++
		} else if want := "left to build-2 until " + now.Add(testHandover/2).UTC().Format("15:04:05 MST"); d.Reason != want || d.Kind != ObstaclePeer || d.Fits != "linux" || !strings.HasPrefix(d.Next, "at ") {
			t.Errorf("job %d: %q, %q, kind %s, fits %q", d.Job.ID, d.Reason, d.Next, d.Kind, d.Fits)
		}
	}
	if starts := len(out.Actions); mine == 0 || mine == len(jobs) || starts != mine {
		t.Errorf("%d starts for %d of %d jobs", starts, mine, len(jobs))
	}
	at := now.Add(testHandover / 2)
	out = Compute(spec, Snapshot{Now: at, Jobs: jobs, Shares: s.Look(Sight{Now: at, Jobs: jobs})})
	if len(out.Actions) != len(jobs) {
		t.Errorf("%d starts after the handover, want %d", len(out.Actions), len(jobs))
	}
}

// A daemon that has just got room does not take at once what others have left:
// of many that got it at the same moment one is enough.
func TestRoomCountsOnlyAfterItsTurn(t *testing.T) {
	s := NewSplit(Sharing{Self: "build-1", Peers: peersOf(2, alike), Handover: testHandover})
	jobs := someJobs(20)
	s.Look(Sight{Now: now, Jobs: jobs})
	at := now.Add(time.Hour)
	pool := linux(func(p *Pool) { p.Max, p.Recent.FullAt = 50, at.Add(-testHandover/2+time.Second) })
	snap := Snapshot{Now: at, Jobs: jobs, Shares: s.Look(Sight{Now: at, Jobs: jobs})}
	own := 0
	for _, h := range snap.Shares {
		if h.After == 0 {
			own++
		}
	}
	if out := Compute(Spec{Pools: []Pool{pool}}, snap); len(out.Actions) != own {
		t.Errorf("%d starts, want %d", len(out.Actions), own)
	}
	snap.Now = at.Add(time.Second)
	if out := Compute(Spec{Pools: []Pool{pool}}, snap); len(out.Actions) != len(jobs) {
		t.Errorf("%d starts a second later, want %d", len(out.Actions), len(jobs))
	}
}

// Of two daemons, each has started a runner for its job, and each runner takes
// the other's job. Neither starts one more.
func TestRunnersThatTakeEachOthersJobsBalance(t *testing.T) {
	peers := peersOf(2, alike)
	s := NewSplit(Sharing{Self: "build-1", Peers: peers, Handover: testHandover})
	owner := func(j Job) string {
		return NewSplit(s.Sharing()).Look(Sight{Now: now, Jobs: []Job{j}})[j.ID].Owner
	}
	var own, other Job
	for id := int64(1); own.ID == 0 || other.ID == 0; id++ {
		j := seen(job(id, "linux"), 0)
		if owner(j) == "build-1" {
			own = j
		} else {
			other = j
		}
	}
	spec := Spec{Pools: []Pool{linux(func(p *Pool) { p.Max = 50 })}}
	cycle := func(at time.Time, jobs []Job, runners ...Runner) Plan {
		snap := Snapshot{Now: at, Jobs: jobs, Runners: runners}
		snap.Shares = s.Look(Sight{Now: at, Jobs: jobs, Runners: runners})
		snap.Balances = s.Balances()
		out := Compute(spec, snap)
		s.Note(out.Decisions)
		return out
	}
	if out := cycle(now, []Job{own, other}); len(out.Actions) != 1 {
		t.Fatalf("starts: %v", lines(out))
	}
	at := now.Add(500 * time.Millisecond)
	out := cycle(at, []Job{own}, runner("r1", PhaseBusy, 0, withJob))
	if len(out.Actions) != 0 || out.Decisions[0].Kind != ObstaclePeer || !strings.HasPrefix(out.Decisions[0].Reason, "a runner that was counted for it") {
		t.Fatalf("its runner has the other's job: %v, %+v", lines(out), out.Decisions[0])
	}
	at = at.Add(testHandover / terms)
	if out := cycle(at, []Job{own}, runner("r1", PhaseBusy, 0, withJob)); len(out.Actions) != 1 {
		t.Fatalf("no runner has come for it: %v", lines(out))
	}
	// The other way round: ours has gone with another's runner, and the one that
	// was started for it is there for a job of theirs, not for our next one.
	runners := []Runner{runner("r1", PhaseBusy, 0, withJob), runner("r2", PhaseStarting, 0)}
	next := own
	for next.ID = other.ID + own.ID + 1; owner(next) != "build-1"; next.ID++ {
	}
	next.SeenAt = at.Add(time.Second)
	out = cycle(next.SeenAt, []Job{next}, runners...)
	if len(out.Actions) != 1 {
		t.Errorf("r2 is owed to the others: %v", lines(out))
	}
}

func TestUnknownSelfSharesNothing(t *testing.T) {
	s := NewSplit(Sharing{Self: "elsewhere", Peers: peersOf(2, alike), Handover: testHandover})
	if shares := s.Look(Sight{Now: now, Jobs: someJobs(3)}); shares != nil {
		t.Errorf("shares are %v", shares)
	}
}

func TestAdoptKeepsWhatIsCounted(t *testing.T) {
	peers := peersOf(3, alike)
	before := NewSplit(Sharing{Self: "build-1", Peers: peers[:2], Handover: testHandover})
	jobs := someJobs(10)
	before.Look(Sight{Now: now, Jobs: jobs})
	before.Note([]Decision{{Job: &jobs[4], Pool: "linux"}})
	after := NewSplit(Sharing{Self: "build-1", Peers: peers, Handover: testHandover})
	after.Adopt(before)
	if h := after.Look(Sight{Now: now, Jobs: jobs}); h[5].Pool != "linux" || h[6].Pool != "" {
		t.Errorf("shares are %v", h)
	}
}

// FuzzSplit: whatever the peers, one daemon and one only has a job as its own,
// and each can take it within the handover.
func FuzzSplit(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		peers := peersOf(1+r.IntN(20), func(int) int { return r.IntN(5) })
		jobs := someJobs(1 + r.IntN(30))
		for i := range jobs {
			jobs[i].ID = r.Int64()
		}
		own := make(map[int64]int)
		for _, s := range splits(peers) {
			for id, h := range s.Look(Sight{Now: now, Jobs: jobs}) {
				if h.After == 0 {
					own[id]++
				}
				if h.After > testHandover {
					t.Errorf("job %d after %v", id, h.After)
				}
			}
		}
		for _, j := range jobs {
			if own[j.ID] != 1 {
				t.Errorf("job %d belongs to %d daemons", j.ID, own[j.ID])
			}
		}
	})
}
