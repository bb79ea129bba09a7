package plan

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// withInstances gives each of the peers an instance.
func withInstances(peers []Peer) []Peer {
	for i := range peers {
		peers[i].Instance = instanceNo(i)
	}
	return peers
}

func instanceNo(i int) string { return fmt.Sprintf("5ca1e%07d", i+1) }

// busyOn has so many jobs run on the runners of each of the peers.
func busyOn(counts ...int) []Job {
	var jobs []Job
	for i, n := range counts {
		for k := range n {
			jobs = append(jobs, Job{ID: int64(len(jobs) + 1), Status: JobInProgress, RunnerName: fmt.Sprintf("%s%s-linux-%d", RunnerPrefix, instanceNo(i), k)})
		}
	}
	return jobs
}

// waitingJobs has so many jobs wait, of which none runs.
func waitingJobs(n int) []Job {
	jobs := someJobs(n)
	for i := range jobs {
		jobs[i].ID += 1 << 20
	}
	return jobs
}

// ownersOf counts the jobs of each daemon.
func ownersOf(shares map[int64]Share) map[string]int {
	count := make(map[string]int)
	for _, s := range shares {
		count[s.Owner]++
	}
	return count
}

func TestInstanceOfARunner(t *testing.T) {
	for name, want := range map[string]string{
		"scaler-5ca1e4000001-linux-abcdefgh": "5ca1e4000001", "scaler-5ca1e4000001-": "5ca1e4000001",
		"scaler-5ca1e4000001": "", "by-hand": "", "my-scaler-5ca1e4000001-linux": "", "": "",
	} {
		if got := instanceOf(name); got != want {
			t.Errorf("%q is of %q, want %q", name, got, want)
		}
	}
}

func TestJobsFollowTheRooms(t *testing.T) {
	const n = 400
	peers := withInstances(peersOf(3, func(int) int { return 1000 }))
	split := NewSplit(Sharing{Self: "build-1", Peers: peers, Handover: testHandover})
	got := ownersOf(split.Look(Sight{Now: now, Jobs: waitingJobs(n), Running: busyOn(0, 500, 1000), Counted: true}))
	if want := n * 2 / 3.0; math.Abs(float64(got["build-1"])-want) > 40 || got["build-3"] != 0 {
		t.Errorf("of %d jobs, with 1000, 500 and 0 free: %v", n, got)
	}
	if free := split.Free(now); !maps.Equal(free, map[string]int{"build-1": 1000, "build-2": 500, "build-3": 0}) {
		t.Errorf("free are %v", free)
	}
	if free := split.Free(now.Add(2 * shownFor)); len(free) > 0 {
		t.Errorf("long after the last count free are %v", free)
	}
}

// A burst finds the places taken that the jobs before are to have, also those of an
// earlier look, but not what waits for longer than its daemon's turn.
func TestBurstFillsTheRoomsAndNoMore(t *testing.T) {
	peers := withInstances(peersOf(4, func(i int) int { return 5 + i }))
	split := NewSplit(Sharing{Self: "build-1", Peers: peers, Handover: testHandover})
	jobs := waitingJobs(26)
	sight := Sight{Now: now, Jobs: jobs[:20], Counted: true}
	split.Look(sight)
	sight.Now, sight.Jobs = now.Add(time.Second), jobs
	if got := ownersOf(split.Look(sight)); !maps.Equal(got, map[string]int{"build-1": 5, "build-2": 6, "build-3": 7, "build-4": 8}) {
		t.Errorf("26 jobs for 26 places: %v", got)
	}
	sight.Now = now.Add(testHandover)
	sight.Jobs = append(jobs, seen(job(1<<21, "linux"), testHandover))
	split.Look(sight)
	if split.standings[1<<21].full != 0 {
		t.Error("jobs that were left waiting take places")
	}
}

func TestWithoutACountWeightsHold(t *testing.T) {
	peers := peersOf(5, func(i int) int { return i + 1 })
	plain := NewSplit(Sharing{Self: "build-1", Peers: slices.Clone(peers), Handover: testHandover})
	want := plain.Look(Sight{Now: now, Jobs: waitingJobs(200)})
	split := NewSplit(Sharing{Self: "build-1", Peers: withInstances(peers), Handover: testHandover})
	split.Look(Sight{Now: now, Running: busyOn(0, 0, 0, 0, 5), Counted: true})
	if got := split.Look(Sight{Now: now, Jobs: waitingJobs(200), Running: busyOn(1, 2, 3, 4, 0)}); !maps.Equal(got, want) {
		t.Error("what is not known in full has been counted")
	}
}

func TestOrderOfAJobStaysAsRoomsChange(t *testing.T) {
	split := NewSplit(Sharing{Self: "build-1", Peers: withInstances(peersOf(3, func(int) int { return 20 })), Handover: testHandover})
	sight := Sight{Now: now, Jobs: waitingJobs(30), Counted: true}
	before := split.Look(sight)
	sight.Now, sight.Running = now.Add(time.Second), busyOn(0, 20, 20)
	if after := split.Look(sight); !maps.Equal(before, after) {
		t.Error("jobs have changed their owner")
	}
}

// One that was known to be full has not left a job waiting: it has its share again as
// soon as it has room.
func TestFullDaemonIsNotPutBehind(t *testing.T) {
	peers := withInstances(peersOf(3, func(int) int { return 4 }))
	split := NewSplit(Sharing{Self: "build-1", Peers: peers, Handover: testHandover})
	split.Look(Sight{Now: now, Jobs: waitingJobs(12), Running: busyOn(4, 4, 4), Counted: true})
	split.Look(Sight{Now: now.Add(testHandover), Jobs: waitingJobs(12), Running: busyOn(4, 4, 4), Counted: true})
	if left := split.Left(); len(left) > 0 {
		t.Errorf("behind the others are %v", left)
	}
	split.Look(Sight{Now: now.Add(testHandover), Jobs: waitingJobs(24), Running: busyOn(4, 2, 4), Counted: true})
	split.Look(Sight{Now: now.Add(2 * testHandover), Jobs: waitingJobs(24), Running: busyOn(4, 4, 4), Counted: true})
	if left := split.Left(); len(left) != 1 || left["build-2"].IsZero() {
		t.Errorf("after build-2 had room and took nothing, behind the others are %v", left)
	}
}

func TestFullDaemonThatGoesMovesNothing(t *testing.T) {
	peers := withInstances(peersOf(6, func(int) int { return 50 }))
	sight := Sight{Now: now, Jobs: waitingJobs(60), Running: busyOn(10, 20, 30, 40, 45, 50), Counted: true}
	with := NewSplit(Sharing{Self: "build-1", Peers: peers, Handover: testHandover}).Look(sight)
	without := NewSplit(Sharing{Self: "build-1", Peers: peers[:5], Handover: testHandover}).Look(sight)
	for id, s := range with {
		if without[id].Owner != s.Owner {
			t.Errorf("job %d moved from %s to %s", id, s.Owner, without[id].Owner)
		}
	}
}

// Nothing is allocated for jobs that run, and nothing sorted, while no job comes.
func TestCountingAllocatesNothing(t *testing.T) {
	peers := withInstances(peersOf(10, func(int) int { return 200 }))
	split := NewSplit(Sharing{Self: "build-1", Peers: peers, Handover: testHandover})
	sight := Sight{Now: now, Jobs: waitingJobs(10)}
	few := testing.AllocsPerRun(10, func() { split.Look(sight) })
	sight.Running, sight.Counted = busyOn(100, 100, 100, 100, 100), true
	if many := testing.AllocsPerRun(10, func() { split.Look(sight) }); many > few {
		t.Errorf("%.0f allocations with 500 jobs that run, %.0f without", many, few)
	}
}

// FuzzRooms: whatever the rooms, all that see the same agree whose each job is, and
// none without room has one while another has room.
func FuzzRooms(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 5))
		peers := withInstances(peersOf(1+r.IntN(12), func(int) int { return r.IntN(6) }))
		for i := range peers {
			if r.IntN(8) == 0 {
				peers[i].Instance = ""
			}
		}
		counts := make([]int, len(peers))
		for i := range counts {
			counts[i] = r.IntN(7)
		}
		sight := Sight{Now: now, Jobs: waitingJobs(1 + r.IntN(40)), Running: busyOn(counts...), Counted: true}
		owner := make(map[int64]string)
		own := make(map[int64]int)
		for _, s := range splits(peers) {
			r.Shuffle(len(sight.Jobs), func(i, j int) { sight.Jobs[i], sight.Jobs[j] = sight.Jobs[j], sight.Jobs[i] })
			for id, h := range s.Look(sight) {
				if owner[id] != "" && owner[id] != h.Owner {
					t.Fatalf("job %d belongs to %s and to %s", id, owner[id], h.Owner)
				}
				if owner[id] = h.Owner; h.After == 0 {
					own[id]++
				}
			}
		}
		free := make(map[string]int)
		for i, p := range peers {
			free[p.Name] = math.MaxInt
			if p.Instance != "" {
				free[p.Name] = p.weight() - counts[i]
			}
		}
		for _, id := range slices.Sorted(maps.Keys(owner)) {
			if own[id] != 1 {
				t.Errorf("job %d is the own one of %d daemons", id, own[id])
			}
			if most := slices.Max(slices.Collect(maps.Values(free))); most > 0 && free[owner[id]] <= 0 {
				t.Errorf("job %d belongs to %s, which is full, and another has room for %d", id, owner[id], most)
			}
			free[owner[id]]--
		}
	})
}
