package plan

import (
	"net/netip"
	"slices"
	"time"
)

// Token is a registration token that the gateway gives out, without its
// secret: what may be listed and shown.
type Token struct {
	ID          string `json:"id"` // never reused
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Scope       Scope  `json:"scope"`
	// Pinned tokens are reusable. Any other registers one runner and is then
	// used up.
	Pinned  bool `json:"pinned"`
	Enabled bool `json:"enabled"`
	// ExpiresAt is when it stops to be accepted; zero is never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// MaxUses is how many runners a pinned token may register; 0 is any
	// number.
	MaxUses int `json:"max_uses,omitempty"`
	// Labels are the label names that its runners may have; empty is any.
	Labels []string `json:"labels,omitempty"`
	// Sources are the networks that it is accepted from; empty is any.
	Sources []netip.Prefix `json:"sources,omitempty"`
	// ReapAfter is how long a runner that came by it may be offline before it
	// is deregistered; 0 is for ever.
	ReapAfter time.Duration `json:"reap_after,omitempty"` // nanoseconds
	// Runner binds the token to one runner of that name, which the daemon
	// itself has made.
	Runner     string    `json:"runner,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	CreatedBy  string    `json:"created_by,omitempty"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	// Uses counts the registrations that it was accepted for, also those
	// whose outcome is not known.
	Uses int `json:"uses"`
	// RevokedAt is set once its runners are to go as well.
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// TokenState says in one word whether a token can be used.
type TokenState string

// The states of a token. Only an active one is accepted.
const (
	TokenActive   TokenState = "active"
	TokenDisabled TokenState = "disabled"
	TokenExpired  TokenState = "expired"
	TokenUsed     TokenState = "used" // used up
	TokenRevoked  TokenState = "revoked"
)

// State returns the token's state at a moment.
func (t Token) State(now time.Time) TokenState {
	switch {
	case !t.RevokedAt.IsZero():
		return TokenRevoked
	case !t.Enabled:
		return TokenDisabled
	case t.Left() == 0:
		return TokenUsed
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return TokenExpired
	}
	return TokenActive
}

// Left returns how many more runners the token may register, -1 for any
// number.
func (t Token) Left() int {
	switch {
	case !t.Pinned:
		return max(1-t.Uses, 0)
	case t.MaxUses > 0:
		return max(t.MaxUses-t.Uses, 0)
	}
	return -1
}

// Clone returns a copy that shares nothing with the token.
func (t Token) Clone() Token {
	t.Labels, t.Sources = slices.Clone(t.Labels), slices.Clone(t.Sources)
	return t
}

// TokenSpec is what a new token is made from. Its fields are those of Token.
type TokenSpec struct {
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	Scope       Scope          `json:"scope"`
	Pinned      bool           `json:"pinned,omitempty"`
	ExpiresAt   time.Time      `json:"expires_at,omitzero"`
	MaxUses     int            `json:"max_uses,omitempty"`
	Labels      []string       `json:"labels,omitempty"`
	Sources     []netip.Prefix `json:"sources,omitempty"`
	ReapAfter   time.Duration  `json:"reap_after,omitempty"`
}

// NewToken is a token together with its secret, which is shown this once.
type NewToken struct {
	Token  Token
	Secret Secret
}

// Enrolment is a runner that came by a token: the link from a runner to the
// token that made it.
type Enrolment struct {
	Token     string   `json:"token"` // Token.ID
	TokenName string   `json:"token_name"`
	RunnerID  int64    `json:"runner_id"` // the server's
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	Scope     Scope    `json:"scope"`
	Labels    []string `json:"labels,omitempty"`
	Version   string   `json:"version,omitempty"`
	Ephemeral bool     `json:"ephemeral,omitempty"`
	// Allowed has the label names that it may declare; empty is any.
	Allowed []string `json:"allowed,omitempty"`
	// Source is the address that it was registered from.
	Source       string        `json:"source,omitempty"`
	RegisteredAt time.Time     `json:"registered_at"`
	ReapAfter    time.Duration `json:"reap_after,omitempty"`
	// OfflineSince is since when the server has listed it as offline.
	OfflineSince time.Time `json:"offline_since,omitzero"`
	// Leaving says why it is to be deregistered once it has no job, and
	// DisabledAt since when the server gives it none.
	Leaving    string    `json:"leaving,omitempty"`
	DisabledAt time.Time `json:"disabled_at,omitzero"`
	// GoneAt is when the server had it no more, and Gone why.
	GoneAt time.Time `json:"gone_at,omitzero"`
	Gone   string    `json:"gone,omitempty"`
	// Pool is set for runners of the daemon's own pools, which the pool
	// itself deregisters.
	Pool string `json:"pool,omitempty"`
}

// AuditEntry is one line of the audit log. It holds no secret.
type AuditEntry struct {
	Seq    uint64    `json:"seq"` // counts up from 1, without gaps
	At     time.Time `json:"at"`
	Action string    `json:"action"`           // "register", "refuse", "token.create", "pool.pause", …
	Actor  string    `json:"actor,omitempty"`  // who did it: "socket uid 0", "web alice", empty for a runner
	Source string    `json:"source,omitempty"` // address that it came from
	Token  string    `json:"token,omitempty"`  // name of the token
	// TokenID is the token's ID.
	TokenID  string `json:"token_id,omitempty"`
	Pool     string `json:"pool,omitempty"`
	Runner   string `json:"runner,omitempty"`
	RunnerID int64  `json:"runner_id,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// TokenChange is what can be done to a token.
type TokenChange string

// The changes of a token. Each takes effect on the next request. TokenRevoke
// disables it for good and has every runner that came by it deregistered after
// its job; TokenDelete lets those runners be.
const (
	TokenPin     TokenChange = "pin"
	TokenUnpin   TokenChange = "unpin"
	TokenEnable  TokenChange = "enable"
	TokenDisable TokenChange = "disable"
	TokenRevoke  TokenChange = "revoke"
	TokenDelete  TokenChange = "delete"
)
