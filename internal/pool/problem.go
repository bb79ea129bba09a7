package pool

import (
	"context"
	"time"
)

// NoteProblem shows what something beside the loop says of itself: that it has
// a problem or, with an empty message, none any more. It is logged when it
// begins and when it is over, and not with each new message.
func (m *Manager) NoteProblem(ctx context.Context, subject, message string) error {
	return m.ask(ctx, func() { m.conditions.setCause(subject, subject, message, time.Now()) })
}
