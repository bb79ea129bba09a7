package plan

// pool is a Pool with what was counted of it.
type pool struct {
	Pool    // as it is now: under its window
	span    *span
	own     *Pool // as it is without windows
	count   PoolCount
	all     int       // runners that occupy a place
	alive   int       // of these, the ones that are to stay
	boot    int       // of these, the ones that are starting
	ending  int       // runners that have ended, whose verdict is not in yet
	supply  int       // of these, the ones that are or will be free
	idle    []*Runner // the free ones, coldest first
	standby int       // runners that are kept ahead, or being made; they occupy no place
	ready   []*Runner // of these, the ones that can be started
	ramp    ramp      // what its pace lets start
	renewal renewal
	bound   int  // jobs that a runner of it is bound to
	overdue bool // a job that it is to serve has waited for nudgeAfter
	hold    string
	index   int     // in the order of the Spec
	cost    amounts // of a runner
	spare   int     // room at the start, for byPreference
}

// add counts a runner of the pool.
func (p *pool) add(r *Runner) {
	p.count.Total++
	if r.Phase == PhaseStandby {
		p.standby++
		p.count.Standby++
		return
	}
	p.all++
	switch {
	case r.HasJob:
		p.count.Busy++
		if r.Phase == PhaseStarting || r.Phase == PhaseIdle || r.Phase == PhaseBusy {
			p.alive++
		}
	case r.Phase == PhaseStarting:
		p.count.Starting++
		p.alive++
		p.boot++
		p.supplied(r, 1)
	case r.Phase == PhaseIdle:
		p.count.Idle++
		p.alive++
		p.supplied(r, 1)
		p.idle = append(p.idle, r)
	case r.Phase == PhaseBusy:
		// Its job has just ended, or its scope could not be read.
		p.count.Busy++
		p.alive++
	case r.Phase == PhaseExited || r.Phase == PhaseRemoving:
		p.count.Leaving++
		p.ending++
	default:
		p.count.Leaving++
	}
}

// supplied counts a runner among those that are or will be free for the jobs
// of the pool, or no more.
func (p *pool) supplied(r *Runner, n int) {
	if !p.misfit(r) {
		p.supply += n
	}
}

// room is how many more runners the pool may start.
func (p *pool) room() int {
	if p.hold != "" {
		return 0
	}
	n := max(min(p.Max-p.all, p.ramp.left), 0)
	if p.Probe {
		n = min(n, max(1-p.boot-p.ending, 0))
	}
	return n
}

// idleWhy says behind a reason what the number of idle runners goes by, if that
// is not its own setting alone.
func (p *pool) idleWhy() string {
	if p.IdleWhy == "" {
		return ""
	}
	return " (" + p.IdleWhy + ")"
}

// setsIdle reports whether the window says how many idle runners are kept.
func (p *pool) setsIdle() bool { return p.span.window.Idle != nil || p.span.window.Auto != nil }
