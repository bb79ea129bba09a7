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

// sizeDue reports whether the size of the host matters, and has to be asked for.
func (m *Manager) sizeDue(now time.Time) bool {
	return m.cfg.Spec.Reserve != plan.Resources{} && m.ports.Sizer != nil && !now.Before(m.size.due)
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
	if m.cfg.Spec.Reserve == (plan.Resources{}) || m.size.size != (plan.Resources{}) {
		return ""
	}
	return text(m.size.err)
}
