package pool

import (
	"context"
	"maps"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Reconfigure has the daemon go on with another configuration from the next
// cycle on, which follows at once. Runners of pools that are no longer in it
// finish their jobs and go; steps that are under way end as they began. The
// version and the instance stay as they are.
func (m *Manager) Reconfigure(ctx context.Context, cfg Config) error {
	err := m.ask(ctx, func() { m.reconfigure(cfg) })
	if err == nil {
		m.Trigger()
	}
	return err
}

// reconfigure is called by the loop.
func (m *Manager) reconfigure(cfg Config) {
	for name, opts := range m.cfg.Pools {
		if _, stays := cfg.Pools[name]; !stays {
			m.retired[name] = opts
			delete(m.breakers, name)
			delete(m.recent, name)
		} else if b := m.breakers[name]; cfg.Pools[name].Recipe != opts.Recipe && !b.token {
			b.succeed() // its runners are made from something else now: try at once
		}
	}
	for name := range cfg.Pools {
		delete(m.retired, name)
		if m.breakers[name] == nil {
			m.breakers[name] = &breaker{}
		}
	}
	cfg.Version, cfg.Instance, cfg.Server, cfg.OnRemoved = m.cfg.Version, m.cfg.Instance, m.cfg.Server, m.cfg.OnRemoved
	m.keepArrivals(time.Now())
	m.cfg = cfg
	m.recall(time.Now())
	m.setSharing(cfg.Sharing)
	maps.DeleteFunc(m.arrivals.pools, func(name string, _ *plan.Arrivals) bool { return !cfg.isAuto(name) })
	m.pace.Pace = newPace(cfg.Pace).Pace
	m.setPlaces()
	for name := range m.retired {
		m.conditions.set("pool "+name, "", time.Now())
	}
}

// isAuto reports whether a pool is configured that ever chooses by itself how
// many runners are ready.
func (c *Config) isAuto(pool string) bool {
	p := c.Spec.Pool(pool)
	return p != nil && p.EverAuto() != nil
}

// optionsOf returns the options of a pool, also of one that is no longer
// configured and was since the daemon began.
func (m *Manager) optionsOf(pool string) Options {
	if opts, found := m.cfg.Pools[pool]; found {
		return opts
	}
	return m.retired[pool]
}

// breakerOf returns the breaker of a pool; that of one that is not configured
// is thrown away.
func (m *Manager) breakerOf(pool string) *breaker {
	if b := m.breakers[pool]; b != nil {
		return b
	}
	return &breaker{}
}

// NoteConfig shows in the status what the daemon runs with. That the file is
// faulty, or asks for a restart, is a problem that is logged once.
func (m *Manager) NoteConfig(ctx context.Context, c plan.ConfigStatus) error {
	m.configStatus.Store(&c)
	message := c.Error
	if message == "" && len(c.Restart) > 0 {
		message = "restart scaler to take over: " + strings.Join(c.Restart, "; ")
	}
	return m.ask(ctx, func() { m.conditions.set(plan.SubjectConfig, message, time.Now()) })
}
