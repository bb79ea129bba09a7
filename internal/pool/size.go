package pool

import (
	"context"
	"time"

	"scaler.io/scaler/internal/plan"
)

// sizer knows what the Docker host has.
type sizer interface {
	// Size returns all CPUs and the whole memory of the host.
	Size(ctx context.Context) (plan.Resources, error)
}

// How often the size of the host is asked for, and how long that may take. It
// seldom changes, and where it is not known nothing starts.
const (
	sizeHolds   = 10 * time.Minute
	sizeRetry   = 5 * time.Second
	sizeTimeout = 5 * time.Second
)

// hostSize is what is known of the size of the Docker host.
type hostSize struct {
	size plan.Resources // the last that was told
	err  error          // why it was not told when it was last asked for
	due  time.Time      // when to ask again
}

// What ParallelStarts is by itself. On two CPUs an engine starts no more containers
// in a second with eight abreast than with four, and each of them takes twice as
// long; with one or two it is idle while they wait for the disk.
const (
	startsPerCPU  = 2
	fewStarts     = 2
	manyStarts    = 16
	unknownStarts = 4 // while the size is not known
)

// endsPerStart is how many removals may be under way for each start that may be:
// they take the engine little but time at the disk. On two CPUs it removes a tenth
// more in a second with eight abreast than with four, and with twelve no more.
const endsPerStart = 2

// sizeDue reports whether the size of the host matters, and has to be asked for.
func (m *Manager) sizeDue(now time.Time) bool {
	matters := m.reserve() != plan.Resources{} || m.cfg.ParallelStarts == 0
	return matters && m.ports.Sizer != nil && !now.Before(m.size.due)
}

// parallel is how many starts may be under way at a time in the engine.
func (m *Manager) parallel() int {
	switch cpus := m.size.size.MilliCPU / 1000; {
	case m.cfg.ParallelStarts > 0:
		return m.cfg.ParallelStarts
	case cpus > 0:
		return int(min(max(startsPerCPU*cpus, fewStarts), manyStarts))
	}
	return unknownStarts
}

// setPlaces bounds the steps that may be under way.
func (m *Manager) setPlaces() {
	most := m.parallel()
	m.starts.setMost(most)
	m.ends.setMost(endsPerStart * most)
}

// reserve is what the runners leave of the Docker host, by the limits of their own
// or by those that bind others, too.
func (m *Manager) reserve() plan.Resources {
	if m.ports.Ledger != nil {
		return m.ports.Ledger.reserve()
	}
	return m.cfg.Spec.Reserve
}

// askSize asks for the size of the host. What was known stays if it is not told.
func (m *Manager) askSize(ctx context.Context, known hostSize, now time.Time) hostSize {
	ctx, cancel := context.WithTimeout(ctx, sizeTimeout)
	defer cancel()
	size, err := m.ports.Sizer.Size(ctx)
	if err != nil {
		known.err, known.due = err, now.Add(sizeRetry)
		return known
	}
	return hostSize{size: size, due: now.Add(sizeHolds)}
}

// sizeUnknown says why it is not known what the runners may take, or nothing.
func (m *Manager) sizeUnknown() string {
	if m.reserve() == (plan.Resources{}) || m.size.size != (plan.Resources{}) {
		return ""
	}
	return text(m.size.err)
}
