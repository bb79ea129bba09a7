package webhook

import (
	"maps"
	"sync"
	"time"
)

// Reason is why a request was refused.
type Reason string

// The reasons.
const (
	ReasonPath      Reason = "path"
	ReasonMethod    Reason = "method"
	ReasonUnsigned  Reason = "unsigned"  // no signature, as of a hook without a secret
	ReasonSignature Reason = "signature" // a wrong one
	ReasonSize      Reason = "size"
	ReasonBody      Reason = "body" // it broke off or was too slow
	ReasonMalformed Reason = "malformed"
	ReasonSecret    Reason = "secret" // our own, which could not be read
	ReasonBusy      Reason = "busy"
)

// Stats is what a receiver has counted.
type Stats struct {
	Since        time.Time         `json:"since"` // when the receiver was made
	Accepted     uint64            `json:"accepted"`
	Ignored      uint64            `json:"ignored"` // signed events of other kinds
	Duplicates   uint64            `json:"duplicates"`
	Refused      map[Reason]uint64 `json:"refused"`
	LastAccepted time.Time         `json:"last_accepted,omitzero"`
}

// tellEvery is how often refusals with one status are logged at most.
const tellEvery = time.Minute

// tally counts what becomes of requests.
type tally struct {
	mu     sync.Mutex
	counts Stats
	told   map[int]telling // by HTTP status
}

// telling is when refusals were logged last, and how many there were since.
type telling struct {
	at    time.Time
	count int
}

func newTally(now time.Time) *tally {
	return &tally{counts: Stats{Since: now, Refused: make(map[Reason]uint64)}, told: make(map[int]telling)}
}

func (t *tally) stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.counts
	s.Refused = maps.Clone(s.Refused)
	return s
}

func (t *tally) accepted(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Accepted++
	t.counts.LastAccepted = now
}

func (t *tally) ignored() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Ignored++
}

func (t *tally) duplicate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Duplicates++
}

// refused counts a refusal. It returns how many with this status there were
// since the last that was logged, or 0 if it is too early to log one.
func (t *tally) refused(reason Reason, status int, now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Refused[reason]++
	last := t.told[status]
	last.count++
	if !last.at.IsZero() && now.Sub(last.at) < tellEvery {
		t.told[status] = last
		return 0
	}
	t.told[status] = telling{at: now}
	return last.count
}

// remembered is how many deliveries are told apart.
const remembered = 4096

// recent knows the latest deliveries.
type recent struct {
	mu   sync.Mutex
	ids  map[string]struct{}
	ring [remembered]string
	next int // place of the oldest
}

func newRecent() *recent { return &recent{ids: make(map[string]struct{})} }

// add reports whether the delivery is a new one, and remembers it.
func (r *recent) add(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.ids[id]; known {
		return false
	}
	delete(r.ids, r.ring[r.next])
	r.ids[id], r.ring[r.next] = struct{}{}, id
	r.next = (r.next + 1) % remembered
	return true
}
