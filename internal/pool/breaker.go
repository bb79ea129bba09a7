package pool

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// The back-off of a pool whose runners fail, doubled with each failure.
const (
	backoffMin = 2 * time.Second
	backoffMax = 5 * time.Minute
)

// breaker keeps a pool whose runners fail from registering one after the
// other. After a failure it is open for the back-off; then it lets one runner
// try, until one has come online. Only a runner that did its work clears the
// count.
type breaker struct {
	failures int
	until    time.Time
	message  string // what people are told, until one has come online
	cause    string // the same without what is another in each failure
	probing  bool
	token    bool // the last failure was a refused registration token
}

// fail counts the failure of a runner. Runners that started side by side fail side by side:
// while the breaker is open their failures count as one.
func (b *breaker) fail(now time.Time, runner string, err error) {
	b.probing = true
	if now.Before(b.until) {
		return
	}
	b.failures++
	b.until = now.Add(min(backoffMin<<min(b.failures-1, 20), backoffMax))
	b.cause = strings.ReplaceAll(err.Error(), runner, "")
	b.token = errors.Is(err, plan.ErrTokenRejected)
	b.message = fmt.Sprintf("failure %d in a row, next try at %s: %v", b.failures, b.until.UTC().Format("15:04:05 MST"), err)
}

// online says that a runner has come up: others may start beside it.
func (b *breaker) online() { b.probing = false }

// succeed says that a runner has done its work.
func (b *breaker) succeed() { *b = breaker{} }

// hold says why nothing may be started now, or nothing.
func (b *breaker) hold(now time.Time) string {
	if !now.Before(b.until) {
		return ""
	}
	return b.message
}
