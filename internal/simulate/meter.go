package simulate

import "time"

// points is how many points the plots have, about.
const points = 400

// meter measures what happens from the end of the warm-up on.
type meter struct {
	world *world
	at    time.Duration // until when it has measured
	pools []poolMeter
	alive int // runners
	peak  int
	doing [states]int
	every time.Duration // a bucket
	parts []bucket
}

// poolMeter measures one pool.
type poolMeter struct {
	at     time.Duration
	doing  [states]int
	spent  [states]time.Duration // by all its runners
	peak   int
	starts int
	waits  []time.Duration
}

// bucket is a stretch of time.
type bucket struct {
	spent   [states]time.Duration
	waiting int // jobs, at most
	waits   []time.Duration
}

func newMeter(w *world) *meter {
	every := max(w.trace.end()/points, 10*time.Second).Round(10 * time.Second)
	return &meter{world: w, pools: make([]poolMeter, len(w.fleet.Spec.Pools)), every: every}
}

// counted reports whether what happens at a time is to be counted.
func (m *meter) counted(at time.Duration) bool { return at >= m.world.options.WarmUp }

// advance measures what lasts from the last moment to the next.
func (m *meter) advance(to time.Duration) {
	if from := m.world.options.WarmUp; to > from && to > m.at {
		m.peak = max(m.peak, m.alive)
	}
	for m.at < to {
		b := m.bucket(m.at)
		until := min(to, (m.at/m.every+1)*m.every)
		for s, n := range m.doing {
			b.spent[s] += time.Duration(n) * (until - m.at)
		}
		b.waiting = max(b.waiting, m.world.server.waiting)
		m.at = until
	}
}

func (m *meter) bucket(at time.Duration) *bucket {
	i := int(at / m.every)
	for len(m.parts) <= i {
		m.parts = append(m.parts, bucket{})
	}
	return &m.parts[i]
}

// move counts a runner as doing something else.
func (m *meter) move(r *runner, to state) {
	p := &m.pools[r.pool]
	p.settle(m.world.now, m.world.options.WarmUp)
	p.doing[r.state]--
	p.doing[to]++
	m.doing[r.state]--
	m.doing[to]++
	if r.state == gone {
		m.alive++
	}
	if to == gone {
		m.alive--
	}
}

// started counts a start.
func (m *meter) started(pool int) {
	if m.counted(m.world.now) {
		m.pools[pool].starts++
	}
}

// settle measures what has lasted until now.
func (p *poolMeter) settle(now, warmUp time.Duration) {
	if lasted := now - max(p.at, warmUp); lasted > 0 {
		alive := 0
		for s := starting; s < states; s++ {
			p.spent[s] += time.Duration(p.doing[s]) * lasted
			alive += p.doing[s]
		}
		p.peak = max(p.peak, alive)
	}
	p.at = now
}

// waited counts how long a job has waited that now begins.
func (m *meter) waited(j int32, pool int) {
	arrival := m.world.trace.Jobs[j].Arrival
	if !m.counted(arrival) {
		return
	}
	wait := m.world.now - arrival
	m.pools[pool].waits = append(m.pools[pool].waits, wait)
	b := m.bucket(arrival)
	b.waits = append(b.waits, wait)
}

// close measures up to the end.
func (m *meter) close() {
	for i := range m.pools {
		m.pools[i].settle(m.world.now, m.world.options.WarmUp)
	}
}
