package plan

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// rankNew ranks the peers for the jobs that are seen for the first time, in the
// order of their ids, which is the same for all daemons: each job finds the places
// taken that those before it are to have. A job that has waited for longer than the
// first turn takes none, since nobody may have runners for it.
func (s *Split) rankNew(sight *Sight) {
	s.fresh = s.fresh[:0]
	clear(s.rooms.own)
	for i := range sight.Jobs {
		st := s.standings[sight.Jobs[i].ID]
		switch {
		case st == nil:
			s.fresh = append(s.fresh, i)
		case sight.Now.Sub(st.base) < s.turnAt(1):
			s.rooms.own[st.first[0]]++
		}
	}
	slices.SortFunc(s.fresh, func(a, b int) int { return cmp.Compare(sight.Jobs[a].ID, sight.Jobs[b].ID) })
	for _, i := range s.fresh {
		job := &sight.Jobs[i]
		st := s.rank(job, sight.Now)
		s.standings[job.ID] = st
		s.rooms.own[st.first[0]]++
	}
}

// rank ranks the peers for a job that is seen for the first time.
func (s *Split) rank(job *Job, now time.Time) *standing {
	t := &standing{labels: labelsKey(job.Labels), base: job.SeenAt, pool: s.counted[job.ID]}
	if t.base.IsZero() {
		t.base = now
	}
	id := mix(uint64(job.ID))
	for i := range s.order {
		s.order[i] = i
		s.scores[i] = s.scoreOf(i, mix(s.seeds[i]^id))
		if _, behind := s.passed[passed{i, t.labels}]; behind {
			s.scores[i] -= 2 * behindAll
		}
	}
	slices.SortFunc(s.order, func(a, b int) int {
		if s.scores[a] != s.scores[b] {
			if s.scores[a] > s.scores[b] {
				return -1
			}
			return 1
		}
		return a - b
	})
	for k := range t.first {
		t.first[k] = none
		if k < len(s.order) {
			t.first[k] = int16(s.order[k])
			if free, known := s.room(s.order[k]); known && free == 0 {
				t.full |= 1 << k
			}
		}
	}
	t.rank = slices.Index(s.order, s.self)
	return t
}

// behindAll is more than the scores of any two peers differ by.
const behindAll = 1e6

// scoreOf is a peer's score for a job, by the room that it has or, if that is not
// known, by its weight.
func (s *Split) scoreOf(peer int, hash uint64) float64 {
	weight := s.sharing.Peers[peer].weight()
	free, known := s.room(peer)
	switch {
	case !known:
		return score(hash, weight)
	case free == 0:
		return score(hash, weight) - behindAll
	}
	return score(hash, free)
}

// score says who has a job: the peer with the highest. It is the logarithm of a
// variate of the exponential distribution whose rate is the weight, turned over; so
// a peer has the highest as often as its share of the weights, and its weight
// changes nothing between the others.
func score(hash uint64, weight int) float64 {
	uniform := (float64(hash>>11) + 0.5) / (1 << 53)
	return math.Log(float64(weight)) - math.Log(-math.Log(uniform))
}

// mix spreads the bits of a number over all bits (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// labelsKey is the same for jobs that ask for the same labels.
func labelsKey(labels []string) string {
	return strings.Join(slices.Sorted(slices.Values(labels)), "\x00")
}
