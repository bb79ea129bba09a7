package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// maxReason is how many characters the reason of an order may have.
const maxReason = 200

// orders are what people have ordered, as it is on disk, and what they wait for.
type orders struct {
	pools   map[string]plan.Pause // also of pools that are not configured now
	runners map[string]plan.Pause
	asks    []ask
}

// ask is a start that somebody waits for.
type ask struct {
	plan.Ask
	ctx    context.Context // theirs
	answer chan<- started  // has room for one
}

// started is the answer: the name of the runner, or why there is none.
type started struct {
	runner string
	err    error
}

// Pause has a pool start nothing until it is resumed, over restarts too; what
// runs goes on. A pool that was drained is no more than paused from then on. The
// reason may be empty. Errors wrap plan.ErrNotFound for a pool that is not
// configured, and plan.ErrInvalid.
func (m *Manager) Pause(ctx context.Context, actor, pool, reason string) error {
	return m.order(ctx, "pause pool "+pool, reason, func() error {
		return m.pause(plan.Pause{By: actor, Reason: reason}, pool)
	})
}

// Drain pauses pools and has their idle runners go; or has one runner go. A busy
// runner finishes its job first, and gets no other. Resume ends what was ordered
// of a pool; a runner that was drained is not taken back. Errors are those of
// Pause.
func (m *Manager) Drain(ctx context.Context, actor string, t plan.DrainTarget) error {
	given := 0
	for _, is := range []bool{t.Pool != "", t.Runner != "", t.All} {
		if is {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf("drain: %w: name a pool, or a runner, or all", plan.ErrInvalid)
	}
	p := plan.Pause{By: actor, Reason: t.Reason, Drain: true}
	switch {
	case t.All:
		return m.order(ctx, "drain all pools", t.Reason, func() error { return m.pause(p, m.poolNames()...) })
	case t.Pool != "":
		return m.order(ctx, "drain pool "+t.Pool, t.Reason, func() error { return m.pause(p, t.Pool) })
	}
	return m.order(ctx, "drain runner "+t.Runner, t.Reason, func() error { return m.withdraw(p, t.Runner) })
}

// Resume ends what was ordered of a pool, also of one that is not configured at
// the moment. One that is not paused stays as it is. The error wraps
// plan.ErrNotFound if nothing is known of the pool.
func (m *Manager) Resume(ctx context.Context, actor, pool string) error {
	return m.order(ctx, "resume pool "+pool, "", func() error {
		p, paused := m.orders.pools[pool]
		if !paused {
			return m.configured(pool)
		}
		err := m.ports.Store.PutOrders(state.Orders{
			Pools: map[string]*plan.Pause{pool: nil},
			Audit: []plan.AuditEntry{{At: time.Now(), Action: "pool.resume", Actor: actor, Pool: pool}},
		})
		if err != nil {
			return err
		}
		delete(m.orders.pools, pool)
		lasted := time.Since(p.Since).Round(time.Second).String()
		m.log.Info("pool resumed", "pool", pool, "by", actor, "paused_for", lasted)
		m.tell(plan.Event{Kind: plan.EventResumed, Pool: pool, Actor: actor, Text: "it was paused for " + lasted})
		return nil
	})
}

// StartOne starts one runner of a pool beyond what the queue asks for, and
// returns its name once it is on its way. It stays for idle_timeout, as any
// other. The error wraps plan.ErrNotFound for a pool that is not configured, and
// plan.ErrConflict if the pool may not start one now, with the reason.
func (m *Manager) StartOne(ctx context.Context, actor, pool string) (runner string, err error) {
	what := "start a runner of pool " + pool
	answer := make(chan started, 1)
	err = m.order(ctx, what, "", func() error {
		if err := m.configured(pool); err != nil {
			return err
		}
		audit := plan.AuditEntry{At: time.Now(), Action: "pool.start", Actor: actor, Pool: pool}
		if err := m.ports.Store.PutOrders(state.Orders{Audit: []plan.AuditEntry{audit}}); err != nil {
			return err
		}
		m.orders.asks = append(m.orders.asks, ask{plan.Ask{Pool: pool, By: actor}, ctx, answer})
		return nil
	})
	if err != nil {
		return "", err
	}
	select {
	case a := <-answer:
		if a.err != nil {
			return "", fmt.Errorf("%s: %w", what, a.err)
		}
		return a.runner, nil
	case <-ctx.Done():
		return "", fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
}

// order has the loop carry out what somebody orders, and go by it at once.
func (m *Manager) order(ctx context.Context, what, reason string, do func() error) error {
	if err := checkReason(reason); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var err error
	if askErr := m.ask(ctx, func() { err = do() }); askErr != nil {
		return fmt.Errorf("%s: %w", what, askErr)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	m.Trigger()
	return nil
}

// checkReason keeps texts out that would not fit into one line of a reason.
func checkReason(reason string) error {
	switch {
	case len([]rune(reason)) > maxReason:
		return fmt.Errorf("%w reason: it has more than %d characters", plan.ErrInvalid, maxReason)
	case strings.ContainsFunc(reason, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%w reason: it has a line break or another character that cannot be printed", plan.ErrInvalid)
	}
	return nil
}

// pause stores that pools are paused, and goes by it.
func (m *Manager) pause(p plan.Pause, pools ...string) error {
	p.Since = time.Now()
	action, kind := "pool.pause", plan.EventPaused
	if p.Drain {
		action, kind = "pool.drain", plan.EventDrain
	}
	o := state.Orders{Pools: make(map[string]*plan.Pause, len(pools))}
	for _, name := range pools {
		if err := m.configured(name); err != nil {
			return err
		}
		o.Pools[name] = &p
		o.Audit = append(o.Audit, plan.AuditEntry{At: p.Since, Action: action, Actor: p.By, Pool: name, Detail: p.Reason})
	}
	if err := m.ports.Store.PutOrders(o); err != nil {
		return err
	}
	for _, name := range pools {
		m.orders.pools[name] = p
		m.log.Info("pool paused", "pool", name, "by", p.By, "reason", p.Reason, "drain", p.Drain)
		m.tell(plan.Event{At: p.Since, Kind: kind, Pool: name, Actor: p.By, Text: p.Reason})
	}
	return nil
}

// withdraw stores that a runner is to go, and goes by it.
func (m *Manager) withdraw(p plan.Pause, name string) error {
	r := m.runners[name]
	if r == nil {
		return fmt.Errorf("%w: scaler runner list has the names", plan.ErrNotFound)
	}
	p.Since = time.Now()
	err := m.ports.Store.PutOrders(state.Orders{
		Runners: map[string]*plan.Pause{name: &p},
		Audit:   []plan.AuditEntry{{At: p.Since, Action: "runner.drain", Actor: p.By, Pool: r.rec.Pool, Runner: name, Detail: p.Reason}},
	})
	if err != nil {
		return err
	}
	m.orders.runners[name] = p
	m.log.Info("runner drained", "pool", r.rec.Pool, "runner", name, "by", p.By, "reason", p.Reason)
	m.tell(plan.Event{At: p.Since, Kind: plan.EventDrain, Pool: r.rec.Pool, Runner: name, Actor: p.By, Text: p.Reason})
	return nil
}

// configured returns an error for a pool that there is not.
func (m *Manager) configured(pool string) error {
	if _, known := m.cfg.Pools[pool]; known {
		return nil
	}
	return fmt.Errorf("%w: the pools are %s", plan.ErrNotFound, strings.Join(m.poolNames(), ", "))
}

// poolNames lists the pools in the order of the file.
func (m *Manager) poolNames() []string {
	names := make([]string, 0, len(m.cfg.Spec.Pools))
	for _, p := range m.cfg.Spec.Pools {
		names = append(names, p.Name)
	}
	return names
}

// recallOrders reads what was ordered before. What was ordered of runners that
// are gone means nothing any more.
func (m *Manager) recallOrders() error {
	pools, runners, err := m.ports.Store.Orders()
	if err != nil {
		return err
	}
	m.orders.pools = pools
	for name, p := range runners {
		if m.runners[name] != nil {
			m.orders.runners[name] = p
		}
	}
	for name, p := range pools {
		m.log.Info("pool is paused", "pool", name, "by", p.By, "since", p.Since, "reason", p.Reason, "drain", p.Drain)
	}
	return nil
}

// pausedBy is what was ordered of a pool, nil for nothing.
func (o *orders) pausedBy(pool string) *plan.Pause { return orNil(o.pools, pool) }

// drainedBy is the same for a runner.
func (o *orders) drainedBy(runner string) *plan.Pause { return orNil(o.runners, runner) }

func orNil(orders map[string]plan.Pause, name string) *plan.Pause {
	p, ordered := orders[name]
	if !ordered {
		return nil
	}
	return &p
}

// asked lists the starts that somebody still waits for.
func (o *orders) asked() []plan.Ask {
	o.asks = slices.DeleteFunc(o.asks, func(a ask) bool { return a.ctx.Err() != nil })
	var list []plan.Ask
	for _, a := range o.asks {
		list = append(list, a.Ask)
	}
	return list
}

// named has the names of the runners that are started for people.
type named map[plan.Ask][]string

// note notes the runner of an action.
func (n named) note(a plan.Action, r *runner) {
	if a.By != "" {
		k := plan.Ask{Pool: a.Pool, By: a.By}
		n[k] = append(n[k], r.rec.Name)
	}
}

// answerAsks tells those who have asked for a start what has become of it.
func (m *Manager) answerAsks(answers []plan.Answer, names named) {
	for i, a := range answers {
		waiting := m.orders.asks[i]
		s := started{}
		switch list := names[a.Ask]; {
		case a.Why != "":
			s.err = fmt.Errorf("%w: %s", plan.ErrConflict, a.Why)
		case len(list) == 0:
			s.err = fmt.Errorf("%w: another step is under way on the runner that was to be taken; try again", plan.ErrConflict)
		default:
			s.runner, names[a.Ask] = list[0], list[1:]
		}
		waiting.answer <- s
		if s.err == nil {
			m.tell(plan.Event{Kind: plan.EventStart, Pool: a.Pool, Runner: s.runner, Actor: a.By})
		}
	}
	m.orders.asks = slices.Delete(m.orders.asks, 0, len(answers))
}
