package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// Bounds of what a token may be made with.
const (
	longestName        = 64
	longestDescription = 500 // bytes
	mostEntries        = 100 // labels, and likewise source networks
	// shortestReap is the least time after which an offline runner is
	// deregistered: the server takes as long to call it offline.
	shortestReap = time.Minute
)

// Load reads the tokens and the runners that came by them. It notes the
// registrations that an earlier end of the daemon cut short.
func (g *Gateway) Load() error {
	if err := g.registry.load(); err != nil {
		return err
	}
	if err := g.closeBooks(); err != nil {
		return fmt.Errorf("look for registrations that were cut short: %w", err)
	}
	return nil
}

// Create makes a token. The actor is who asked for it. Errors:
// plan.ErrInvalid, plan.ErrConflict for a name that is taken, and those of the
// store.
func (g *Gateway) Create(_ context.Context, actor string, spec plan.TokenSpec) (plan.NewToken, error) {
	now := time.Now()
	t, err := g.tokenOf(spec, now)
	if err != nil {
		return plan.NewToken{}, fmt.Errorf("create registration token: %w", err)
	}
	t.CreatedBy = actor
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	if _, err := g.registry.named(t.Name); err == nil {
		return plan.NewToken{}, fmt.Errorf("create registration token: %w: there is one named %s", plan.ErrConflict, t.Name)
	}
	made, c := mint(t)
	c.Audit = []plan.AuditEntry{tokenEntry("token.create", actor, t, "scope "+t.Scope.String())}
	if err := g.registry.commit(c); err != nil {
		return plan.NewToken{}, fmt.Errorf("create registration token %s: %w", t.Name, err)
	}
	g.log.Info("registration token created", "token", t.Name, "scope", t.Scope.String(), "pinned", t.Pinned, "actor", actor)
	return made, nil
}

// mint gives a token a new secret.
func mint(t plan.Token) (plan.NewToken, state.TokenChanges) {
	secret := newSecret()
	h, _ := parseSecret(secret.Reveal()) // our own is well formed
	return plan.NewToken{Token: t.Clone(), Secret: secret}, state.TokenChanges{PutTokens: []state.TokenRecord{{Token: t, Hash: h}}}
}

// newID returns an ID that no other token has or had.
func newID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: it would end the program
	return hex.EncodeToString(id[:])
}

func tokenEntry(action, actor string, t plan.Token, detail string) plan.AuditEntry {
	return plan.AuditEntry{At: time.Now(), Action: action, Actor: actor, Token: t.Name, TokenID: t.ID, Detail: detail}
}

// tokenOf makes the token of a specification, or says what is wrong with it.
func (g *Gateway) tokenOf(spec plan.TokenSpec, now time.Time) (plan.Token, error) {
	t := plan.Token{
		ID: newID(), Name: spec.Name, Description: strings.TrimSpace(spec.Description), Pinned: spec.Pinned, Enabled: true,
		ExpiresAt: spec.ExpiresAt, MaxUses: spec.MaxUses, ReapAfter: spec.ReapAfter, CreatedAt: now,
	}
	if err := checkTexts(t); err != nil {
		return t, err
	}
	switch {
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return t, fmt.Errorf("%w: it would have expired already, at %s", plan.ErrInvalid, t.ExpiresAt.UTC().Format(time.RFC3339))
	case t.MaxUses < 0:
		return t, fmt.Errorf("%w: max uses must be 0, for any number, or more", plan.ErrInvalid)
	case t.MaxUses > 0 && !t.Pinned:
		return t, fmt.Errorf("%w: max uses is for pinned tokens; any other registers one runner", plan.ErrInvalid)
	case t.ReapAfter < 0, t.ReapAfter > 0 && t.ReapAfter < shortestReap:
		return t, fmt.Errorf("%w: reap after must be %s or longer, or 0 for never", plan.ErrInvalid, shortestReap)
	}
	var err error
	if t.Scope, err = g.scopeOf(spec.Scope); err != nil {
		return t, err
	}
	if t.Labels, err = labelsOf(spec.Labels); err != nil {
		return t, err
	}
	t.Sources, err = sourcesOf(spec.Sources)
	return t, err
}

func checkTexts(t plan.Token) error {
	letter := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	wrong := func(r rune) bool { return !letter(r) && !strings.ContainsRune("-._", r) }
	switch {
	case t.Name == "" || len(t.Name) > longestName || strings.ContainsFunc(t.Name, wrong) || !letter(rune(t.Name[0])):
		return fmt.Errorf("%w: a token's name is letters, digits, dashes, dots and underscores, %d at most, and begins with a letter or digit", plan.ErrInvalid, longestName)
	case t.Name == "new": // the web page that makes one has this address
		return fmt.Errorf("%w: no token can have the name %q", plan.ErrInvalid, t.Name)
	case len(t.Description) > longestDescription || !utf8.ValidString(t.Description) || strings.ContainsFunc(t.Description, unicode.IsControl):
		return fmt.Errorf("%w: a description is one line of text, %d bytes at most", plan.ErrInvalid, longestDescription)
	}
	return nil
}

// scopeOf returns a scope as it is configured.
func (g *Gateway) scopeOf(want plan.Scope) (plan.Scope, error) {
	if s, served := g.served(want); served {
		return s, nil
	}
	var have []string
	for _, s := range g.ports.Enroller.Scopes() {
		have = append(have, s.String())
	}
	return want, fmt.Errorf("%w: there is no usable registration token of Gitea for scope %q; there is one for %s",
		plan.ErrInvalid, clip(want.String()), cmp.Or(strings.Join(have, ", "), "none"))
}

// labelsOf checks label names.
func labelsOf(names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		l, err := plan.ParseLabel(name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", plan.ErrInvalid, err)
		case l.Name != name:
			return nil, fmt.Errorf("%w: label %q: only the name counts here; write %s", plan.ErrInvalid, clip(name), clip(l.Name))
		case name != clip(name):
			return nil, fmt.Errorf("%w: label %q is too long or not printable", plan.ErrInvalid, clip(name))
		case !slices.Contains(out, name):
			out = append(out, name)
		}
	}
	if len(out) > mostEntries {
		return nil, fmt.Errorf("%w: %d labels are too many, the most is %d", plan.ErrInvalid, len(out), mostEntries)
	}
	return out, nil
}

// sourcesOf checks networks and writes them as addresses are compared with
// them: IPv4 as such, and no bits beyond the mask.
func sourcesOf(networks []netip.Prefix) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, p := range networks {
		const mapped = 96 // bits before the IPv4 address
		if p.IsValid() && p.Addr().Is4In6() && p.Bits() >= mapped {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
		}
		if !p.IsValid() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%w: %s is not a network; write it as 10.0.0.0/8 or fd00::/8", plan.ErrInvalid, p)
		}
		if p = p.Masked(); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	if len(out) > mostEntries {
		return nil, fmt.Errorf("%w: %d source networks are too many, the most is %d", plan.ErrInvalid, len(out), mostEntries)
	}
	return out, nil
}
