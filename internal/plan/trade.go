package plan

import "time"

// trade keeps the accounts of this daemon's pools with the other daemons. A
// runner takes the oldest job that fits it, whichever it was started for. Where
// every job has just one runner started for it, by one of the daemons, all have a
// runner in the end; but a daemon cannot tell from its own jobs and its own free
// runners alone how many more it has to start. It has to know how many of its
// runners have taken the jobs of others, and the other way round.
type trade struct {
	pools map[string]*account
	had   map[string]int // for each runner how many jobs it was given
	term  time.Duration
}

// account is that of one pool. One of both lists is empty. An entry is of no
// account any more after the term: the other daemon may have known nothing of a
// job of its own that one of our runners took before it looked.
type account struct {
	// owed has the jobs of ours that left the queue with a runner of another
	// daemon, while the runner that was counted for them is still free: it is
	// there for a job of the others.
	owed []time.Time
	// credit has the runners of ours that took the job of another daemon, while
	// the one that they were counted for still waits: a runner of the others is
	// there for it. Each is with the time at which it ends.
	credit []time.Time
	term   time.Duration
}

// Balance is the account of a pool with other daemons.
type Balance struct {
	Owed   int         // free runners of the pool that the jobs of others will take
	Credit []time.Time // for each job of ours that a runner of others will take, until when
}

// terms is how many terms of an account are in a handover. A term is about as
// long as runners differ in how quickly they come online. In a simulation with
// polls of 1 s and boots of 0.3 s to 1.3 s, fifty daemons start 10 % to 24 % too
// many runners for bursts without accounts, 0.2 % with a term of up to 1 s, and
// 2.4 % with one of 3 s, since jobs then wait so long that others take them.
const terms = 10

func newTrade(term time.Duration) *trade {
	return &trade{term: term, pools: make(map[string]*account), had: make(map[string]int)}
}

func (t *trade) of(pool string) *account {
	a := t.pools[pool]
	if a == nil {
		a = &account{term: t.term}
		t.pools[pool] = a
	}
	return a
}

// look takes note of the runners that have been given a job since the last look,
// and forgets what is over. waiting is how many of the queued jobs have a runner
// counted for them, by pool.
func (t *trade) look(runners []Runner, waiting map[string]int, now time.Time) {
	free, had := make(map[string]int), make(map[string]int, len(runners))
	for i := range runners {
		r := &runners[i]
		jobs := max(r.Jobs, t.had[r.Name])
		if jobs == 0 && (r.HasJob || r.Used) {
			jobs = 1
		}
		for range jobs - t.had[r.Name] {
			t.of(r.Pool).took(now)
		}
		had[r.Name] = jobs
		if !r.HasJob && !r.Used && (r.Phase == PhaseStarting || r.Phase == PhaseIdle) {
			free[r.Pool]++
		}
	}
	t.had = had
	for pool, a := range t.pools {
		a.owed = lastOf(a.owed, now, free[pool])
		a.credit = lastOf(a.credit, now, waiting[pool])
	}
}

// lastOf leaves those that are not over, and of these the last ones.
func lastOf(ends []time.Time, now time.Time, most int) []time.Time {
	for len(ends) > 0 && (len(ends) > most || !now.Before(ends[0])) {
		ends = ends[1:]
	}
	return ends
}

// took notes that a runner of the pool was given a job, ours or another one.
func (a *account) took(now time.Time) {
	if len(a.owed) > 0 {
		a.owed = a.owed[1:]
		return
	}
	a.credit = append(a.credit, now.Add(a.term))
}

// left notes that a job has left the queue that a runner was counted for.
func (a *account) left(now time.Time) {
	if len(a.credit) > 0 {
		a.credit = a.credit[1:]
		return
	}
	a.owed = append(a.owed, now.Add(a.term))
}
