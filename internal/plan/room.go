package plan

import (
	"strings"
	"time"
)

// RunnerPrefix begins the name of each runner that a daemon makes. Behind it come
// the daemon's instance id and a dash.
const RunnerPrefix = "scaler-"

// instanceOf is the instance id in the name of a runner, empty if it has none.
func instanceOf(runner string) string {
	rest, ours := strings.CutPrefix(runner, RunnerPrefix)
	id, _, whole := strings.Cut(rest, "-")
	if !ours || !whole {
		return ""
	}
	return id
}

// rooms says how many jobs more each peer can take: its weight, less those of its
// runners that have a job, less the queued jobs that are to be its own. A peer
// whose instance is not known has a weight and no room.
//
// Daemons look at different moments, and so may count one more or one less. That
// changes the owner of few jobs, since a peer's score does not depend on the rooms
// of the others. What matters more, in simulations, is that a place counts where it
// was taken: a runner takes the oldest job, whosever it was to be, and by that much
// its own daemon has less room for the next ones.
type rooms struct {
	peers map[string]int // by the ids that their runners carry
	known bool           // whether busy is from this look
	at    time.Time      // when busy was counted
	busy  []int          // by peer
	own   []int          // by peer, the queued jobs whose first rank it is, while that has its turn
}

func newRooms(peers []Peer) rooms {
	r := rooms{peers: make(map[string]int), busy: make([]int, len(peers)), own: make([]int, len(peers))}
	for i, p := range peers {
		if p.Instance != "" {
			r.peers[p.Instance] = i
		}
	}
	return r
}

// count counts the runners that have a job, if all of them were seen.
func (r *rooms) count(sight *Sight) {
	if r.known = sight.Counted && len(r.peers) > 0; !r.known {
		return
	}
	r.at = sight.Now
	clear(r.busy)
	for i := range sight.Running {
		if p, is := r.peers[instanceOf(sight.Running[i].RunnerName)]; is {
			r.busy[p]++
		}
	}
}

// room is how many jobs more a peer can take now, and whether that is known.
func (s *Split) room(peer int) (free int, known bool) {
	p := &s.sharing.Peers[peer]
	if !s.rooms.known || p.Instance == "" {
		return 0, false
	}
	return max(p.weight()-s.rooms.busy[peer]-s.rooms.own[peer], 0), true
}

// shownFor is how long it is told how many jobs more the peers can take after their
// runners were last counted.
const shownFor = time.Minute

// ByRoom reports whether the split goes by how many runners of the peers have a
// job, so that it has to know of all that run.
func (s *Split) ByRoom() bool { return len(s.rooms.peers) > 0 }

// Knows reports whether a job is ranked already, and stays as it is.
func (s *Split) Knows(job int64) bool { return s.standings[job] != nil }

// Free says of the peers how many jobs more they can take, by those that run. One
// of which that is not known is not in it.
func (s *Split) Free(now time.Time) map[string]int {
	if s.rooms.at.IsZero() || now.Sub(s.rooms.at) > shownFor {
		return nil
	}
	free := make(map[string]int, len(s.rooms.peers))
	for _, i := range s.rooms.peers {
		p := &s.sharing.Peers[i]
		free[p.Name] = max(p.weight()-s.rooms.busy[i], 0)
	}
	return free
}
