package gitea

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// maxHold is the longest time for which nothing is asked since the server has
// said so. A header that is wrong must not stop the daemon for days, and four
// requests an hour are no load.
const maxHold = 15 * time.Minute

// hold keeps all requests back for as long as the server asks for, where that
// is longer than an operation waits by itself. Without it each poll would ask
// again.
type hold struct {
	mu     sync.Mutex
	until  time.Time
	reason *StatusError
}

// heldError is a request that was not made.
type heldError struct {
	until  time.Time
	reason *StatusError
}

// Error says until when nothing is asked, and why.
func (e *heldError) Error() string {
	return fmt.Sprintf("not asked before %s, as the server wants it: %s", e.until.UTC().Format("15:04:05 MST"), e.reason)
}

// Unwrap returns the server's answer.
func (e *heldError) Unwrap() error { return e.reason }

// check returns a *heldError while requests are kept back.
func (h *hold) check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.until) {
		return &heldError{h.until, h.reason}
	}
	return nil
}

// heed looks at an answer for a wish to wait.
func (h *hold) heed(a answer) {
	if a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable {
		return
	}
	wait, asked := retryAfter(a.retryAfter)
	if !asked || wait <= maxRetryAfter {
		return // the operation itself waits
	}
	until := time.Now().Add(min(wait, maxHold))
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.After(h.until) { // answers come in any order
		h.until, h.reason = until, newStatusError(a)
	}
}
