package plan

import (
	"hash/fnv"
	"maps"
	"slices"
	"time"
)

// Sharing says among which daemons the jobs of a server are split. Each of them
// starts runners for its own share, without asking the others.
type Sharing struct {
	Self  string // the name of this daemon, one of Peers
	Peers []Peer // all of them, in any order
	// Handover is how long a job waits at most for the daemon whose it is,
	// until some other one that has room takes it.
	Handover time.Duration
}

// Equal reports whether both split the jobs alike.
func (s Sharing) Equal(o Sharing) bool {
	return s.Self == o.Self && s.Handover == o.Handover && slices.Equal(s.Peers, o.Peers)
}

// Peer is a daemon that serves the queue too.
type Peer struct {
	Name string
	// Weight is its share of the jobs in proportion to those of the others, and how
	// many runners it may have, if its instance is known; 0 counts as 1.
	Weight int
	// Instance is the id that its runners carry, empty if it is not known.
	Instance string
}

func (p Peer) weight() int { return max(p.Weight, 1) }

// Split is the split of the queue among several daemons, as one of them sees
// it. What it goes by is seen by all alike: the ids of the jobs, how long they
// wait, and whose runners have one. So the daemons agree without a word, as far as
// they see the same.
//
// Every daemon has a rank for every job, by rendezvous hashing that is weighted by
// the rooms of the daemons: the job belongs to rank 0, and where that leaves it
// waiting, to the next one. One without room comes behind those with. A rank's turn
// comes at Handover·(1−2^−rank) after the job was seen, so that a job that some
// live daemon has room for has waited for it no longer than Handover, however
// many others are dead or full.
//
// A daemon that left a job waiting comes behind all others for a while, for
// jobs with the same labels. This is the one thing that is learned of peers, so
// that nothing depends on what they say of themselves.
//
// A Split is owned by one goroutine.
type Split struct {
	sharing   Sharing
	seeds     []uint64 // of the peers' names
	self      int
	standings map[int64]*standing
	counted   map[int64]string // pools of jobs that a split before this one has counted runners for
	trade     *trade
	passed    map[passed]time.Time // until when a peer comes behind the others
	blind     time.Time            // when some jobs could last not be read
	rooms     rooms
	fresh     []int // the jobs of one look that are new
	order     []int // of the peers for one job
	scores    []float64
}

// passed is a peer that has left a job with these labels waiting.
type passed struct {
	peer   int
	labels string
}

// standing is what a Split knows of one job. The order of the peers stays as it
// was when the job was first seen: they do not all learn at the same moment who
// has left jobs waiting.
type standing struct {
	first  [judged]int16 // the peers of the first ranks
	full   uint8         // which of these had no room, a bit for each
	rank   int           // of this daemon
	labels string
	base   time.Time // since when it waits for its turn
	pool   string    // that of the runner that was counted for it, if one was
}

// Sight is what a daemon sees in one cycle of what there is to split.
type Sight struct {
	Now     time.Time
	Jobs    []Job    // queued ones, each once
	Runners []Runner // this daemon's
	// Running has the jobs that some runner has, whosever it is, each once. If
	// Counted is not set some may be missing, or not name their runner: then it is
	// nothing to go by.
	Running []Job
	Counted bool
	// Unread is set if some queued jobs could not be read. Those that are missing are
	// remembered then; and how long the others have waited by now says nothing of the
	// peers, which may not have read them either.
	Unread bool
}

// Share is what a Split says of one queued job.
type Share struct {
	// Owner is the daemon to which the job belongs.
	Owner string
	// Since is when the job's time began to count, and After how long after that
	// this daemon may take it: 0 if the job is its own.
	Since time.Time
	After time.Duration
	// Pool is that of the runner that was counted for the job; empty if none was.
	Pool string
}

const (
	// judged is how many of the first ranks are judged by how long a job waits.
	judged = 4
	// passFor is for how many handovers a peer that left a job waiting comes
	// behind the others. Then one job more is left to it, to see whether it is back.
	passFor = 10
	// lastRank is one whose turn is at the handover itself, to the microsecond.
	lastRank = 20
)

// NewSplit returns the split of a queue of which nothing has been seen yet.
func NewSplit(s Sharing) *Split {
	n := &Split{sharing: s, standings: make(map[int64]*standing), counted: make(map[int64]string), trade: newTrade(s.Handover / terms), passed: make(map[passed]time.Time),
		rooms: newRooms(s.Peers), order: make([]int, len(s.Peers)), scores: make([]float64, len(s.Peers)), self: none}
	for i, p := range s.Peers {
		h := fnv.New64a()
		h.Write([]byte(p.Name))
		n.seeds = append(n.seeds, mix(h.Sum64()))
		if p.Name == s.Self {
			n.self = i
		}
	}
	return n
}

// Sharing is what the split was made from.
func (s *Split) Sharing() Sharing { return s.sharing }

// Adopt takes over from the split before it, which was made with other peers,
// for which jobs runners are there already.
func (s *Split) Adopt(before *Split) {
	s.blind, s.counted = before.blind, before.counted
	s.trade.had = before.trade.had
	for id, st := range before.standings {
		if st.pool != "" {
			s.counted[id] = st.pool
		}
	}
}

// Look says whose each of the queued jobs is, and takes note of the runners that
// have got one.
func (s *Split) Look(sight Sight) map[int64]Share {
	if s.self == none {
		return nil
	}
	now, jobs := sight.Now, sight.Jobs
	if sight.Unread {
		s.blind = now
	}
	maps.DeleteFunc(s.passed, func(_ passed, until time.Time) bool { return !now.Before(until) })
	s.rooms.count(&sight)
	s.rankNew(&sight)
	shares, waiting := make(map[int64]Share, len(jobs)), make(map[string]int)
	for i := range jobs {
		st := s.standings[jobs[i].ID]
		st.base = later(st.base, s.blind)
		shares[jobs[i].ID] = Share{Owner: s.sharing.Peers[st.first[0]].Name, Since: st.base, After: s.turnAt(st.rank), Pool: st.pool}
		if st.pool != "" {
			waiting[st.pool]++
		}
	}
	for id, st := range s.standings {
		if _, waits := shares[id]; waits {
			s.judge(st, now)
		} else if !sight.Unread {
			if delete(s.standings, id); st.pool != "" {
				s.trade.of(st.pool).left(now)
			}
		}
	}
	clear(s.counted)
	s.trade.look(sight.Runners, waiting, now)
	return shares
}

// Note remembers for which jobs a runner is there or on its way.
func (s *Split) Note(decisions []Decision) {
	for i := range decisions {
		d := &decisions[i]
		if st := s.standings[d.Job.ID]; st != nil && st.pool == "" {
			st.pool = d.Pool
		}
	}
}

// Took notes that a runner of the pool was given a job that no list showed.
func (s *Split) Took(pool string, now time.Time) { s.trade.of(pool).took(now) }

// Balances says for each pool what its runners owe the other daemons and have
// to get from them.
func (s *Split) Balances() map[string]Balance {
	all := make(map[string]Balance, len(s.trade.pools))
	for name, a := range s.trade.pools {
		all[name] = Balance{Owed: len(a.owed), Credit: slices.Clone(a.credit)}
	}
	return all
}

// Left lists the peers that come behind the others for some jobs, and until
// when at the latest.
func (s *Split) Left() map[string]time.Time {
	left := make(map[string]time.Time)
	for key, until := range s.passed {
		name := s.sharing.Peers[key.peer].Name
		left[name] = later(left[name], until)
	}
	return left
}

// judge puts the peers behind the others whose turn for a job that still waits
// is over, but for those that were known to have no room for it.
func (s *Split) judge(t *standing, now time.Time) {
	for k, peer := range t.first {
		if peer == none || now.Sub(t.base) < s.turnAt(k+1) {
			return
		}
		if t.full>>k&1 == 0 {
			s.passed[passed{int(peer), t.labels}] = now.Add(passFor * s.sharing.Handover)
		}
	}
}

// turnAt is how long a job has waited when the turn of a rank begins.
func (s *Split) turnAt(rank int) time.Duration {
	h := s.sharing.Handover
	return h - h>>min(rank, lastRank)
}
