// Package register holds one runner's life in Gitea: it is registered with a
// registration token that stays inside the daemon, its identity becomes a
// .runner file, and in the end it is deregistered so that the server lists no
// offline corpse.
//
// The invariant that it protects: only a runner that is provably ours, by its
// own token or by its id and exact name together, is ever deleted.
package register

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/time/rate"

	"scaler.io/scaler/internal/plan"
)

// server is what the daemon needs of Gitea for one runner.
type server interface {
	// Capabilities says what the server can do; it is asked only now and then.
	Capabilities(ctx context.Context) (plan.Capabilities, error)
	Register(ctx context.Context, token plan.Secret, reg plan.Registration) (plan.Identity, error)
	Deregister(ctx context.Context, id plan.Identity) error
	Runner(ctx context.Context, scope plan.Scope, id int64) (plan.ServerRunner, error)
	Runners(ctx context.Context, scope plan.Scope) (plan.RunnerList, error)
	DeleteRunner(ctx context.Context, scope plan.Scope, id int64) error
	// Verify declares the runner's labels anew, in its own name, and returns the
	// server's id of it.
	Verify(ctx context.Context, id plan.Identity, version string) (runnerID int64, err error)
}

// minter gets by the server's API what no token of the configuration is there for.
type minter interface {
	// MintToken returns a scope's registration token.
	MintToken(ctx context.Context, scope plan.Scope) (plan.Secret, error)
	// CreateRunner makes a runner without a registration token. Where the server
	// cannot do that the error wraps plan.ErrUnsupported, and nothing was made.
	CreateRunner(ctx context.Context, scope plan.Scope, reg plan.Registration) (plan.Identity, error)
}

// Token is a registration token of the configuration.
type Token struct {
	Name  string
	Scope plan.Scope
	// Read returns the token as it is now; it is called at each use, so that
	// a rotated file takes effect at once. Nil means that the token is minted.
	Read func() (plan.Secret, error)
	// Disabled tokens register nothing, until Enable says otherwise.
	Disabled bool
}

// Registrar registers and deregisters runners. Its methods may be called
// concurrently.
type Registrar struct {
	server server
	minter minter
	pace   *rate.Limiter // of registrations, over all tokens

	mu       sync.Mutex
	tokens   map[string]Token
	minted   map[string]plan.Secret
	rejected map[string]plan.Secret // the value that the server refused last
	disabled map[string]bool
}

// New returns a Registrar for the tokens, which makes at most perMinute
// registrations a minute over all of them. Up to a sixth of that may come at
// once; what is beyond waits its turn. It bounds what a fault that nobody
// foresaw can do to the server.
func New(s server, m minter, tokens []Token, perMinute int) *Registrar {
	pace := rate.NewLimiter(rate.Limit(perMinute)/60, max(perMinute/6, 1))
	r := &Registrar{server: s, minter: m, pace: pace, minted: make(map[string]plan.Secret), rejected: make(map[string]plan.Secret)}
	r.SetTokens(tokens, perMinute)
	return r
}

// SetTokens replaces the tokens and the bound of New from now on. What is known
// of the value of a token that stays is kept.
func (r *Registrar) SetTokens(tokens []Token, perMinute int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pace.SetLimit(rate.Limit(perMinute) / 60)
	r.pace.SetBurst(max(perMinute/6, 1))
	was := r.tokens
	r.tokens, r.disabled = make(map[string]Token, len(tokens)), make(map[string]bool, len(tokens))
	for _, t := range tokens {
		r.tokens[t.Name] = t
		r.disabled[t.Name] = t.Disabled
	}
	for name, old := range was {
		t, stays := r.tokens[name]
		if !stays || t.Scope != old.Scope || (t.Read == nil) != (old.Read == nil) {
			delete(r.minted, name)
			delete(r.rejected, name)
		}
	}
}

// token returns a token by its name.
func (r *Registrar) token(name string) (t Token, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, known = r.tokens[name]
	return t, known
}

// Enable says from now on whether a token may be used. It reports whether that
// is a change; of a token that is not configured it takes no note.
func (r *Registrar) Enable(name string, enabled bool) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.tokens[name]; !known || r.disabled[name] == !enabled {
		return false
	}
	r.disabled[name] = !enabled
	return true
}

// Scopes returns the scopes that there is an enabled token for.
func (r *Registrar) Scopes() []plan.Scope {
	r.mu.Lock()
	defer r.mu.Unlock()
	var scopes []plan.Scope
	for name, t := range r.tokens {
		if !r.disabled[name] && !slices.Contains(scopes, t.Scope) {
			scopes = append(scopes, t.Scope)
		}
	}
	slices.SortFunc(scopes, func(a, b plan.Scope) int { return strings.Compare(a.String(), b.String()) })
	return scopes
}

// For returns the name of an enabled token of the scope, the first by name, or
// an error that wraps plan.ErrNotFound.
func (r *Registrar) For(scope plan.Scope) (name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.tokens)) {
		if r.tokens[name].Scope == scope && !r.disabled[name] {
			return name, nil
		}
	}
	return "", fmt.Errorf("registration token for scope %s: %w", scope, plan.ErrNotFound)
}

// usable says why a token that is known may not be used.
func (r *Registrar) usable(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.disabled[name] {
		return fmt.Errorf("registration token %s is disabled in the configuration: set enabled: true and it is used at once", name)
	}
	return nil
}

// Check reports, without asking the server, whether the named token can be
// used: nil if it can, an error that wraps plan.ErrTokenRejected if the server
// refused its present value, or the error of reading it.
func (r *Registrar) Check(name string) error {
	t, known := r.token(name)
	if !known {
		return fmt.Errorf("registration token %s is not configured", name)
	}
	if err := r.usable(name); err != nil {
		return err
	}
	if t.Read == nil {
		return nil // a refused one is minted anew at the next use
	}
	value, err := t.Read()
	if err != nil {
		return fmt.Errorf("read registration token %s: %w", name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rejected[name] == value {
		return fmt.Errorf("registration token %s: %w; put a valid one into its place and it is used at once", name, plan.ErrTokenRejected)
	}
	return nil
}

// Register registers a runner with the named token. It makes at most one
// runner: a call whose answer was lost is not repeated, and the caller finds
// what it may have made by its name. A minted token that the server refuses
// is minted anew once, since a refusal makes no runner; none is minted where the
// server makes runners without one.
func (r *Registrar) Register(ctx context.Context, name string, reg plan.Registration) (id plan.Identity, err error) {
	t, err := r.turn(ctx, name, reg.Name)
	if err != nil {
		return plan.Identity{}, err
	}
	if t.Read == nil {
		id, err = r.minter.CreateRunner(ctx, t.Scope, reg)
		if !errors.Is(err, plan.ErrUnsupported) {
			return id, err
		}
	}
	err = r.use(ctx, t, func(ctx context.Context, token plan.Secret) (err error) {
		id, err = r.server.Register(ctx, token, reg)
		return err
	})
	return id, err
}

// Use calls register with the value of the named token, under the bound on
// registrations. An error of it that wraps plan.ErrTokenRejected is taken note
// of; a minted token is then minted anew, and register called once more.
func (r *Registrar) Use(ctx context.Context, name, runner string, register func(ctx context.Context, token plan.Secret) error) error {
	t, err := r.turn(ctx, name, runner)
	if err != nil {
		return err
	}
	return r.use(ctx, t, register)
}

// turn returns the named token once a registration with it may be made.
func (r *Registrar) turn(ctx context.Context, name, runner string) (Token, error) {
	t, known := r.token(name)
	if !known {
		return Token{}, fmt.Errorf("register runner %s: registration token %s is not configured", runner, name)
	}
	if err := r.usable(name); err != nil {
		return Token{}, fmt.Errorf("register runner %s: %w", runner, err)
	}
	if err := r.pace.Wait(ctx); err != nil {
		return Token{}, fmt.Errorf("register runner %s: wait for a turn under limits.registrations: %w", runner, err)
	}
	return t, nil
}

func (r *Registrar) use(ctx context.Context, t Token, register func(ctx context.Context, token plan.Secret) error) error {
	for attempt := 0; ; attempt++ {
		value, err := r.value(ctx, t)
		if err != nil {
			return err
		}
		err = register(ctx, value)
		if !errors.Is(err, plan.ErrTokenRejected) {
			r.accept(t.Name)
			return err
		}
		r.reject(t.Name, value)
		if t.Read != nil || attempt > 0 {
			return fmt.Errorf("use registration token %s (scope %s): %w", t.Name, t.Scope, err)
		}
	}
}

// value returns the token's value, minting it if need be.
func (r *Registrar) value(ctx context.Context, t Token) (plan.Secret, error) {
	if t.Read != nil {
		value, err := t.Read()
		if err != nil {
			return "", fmt.Errorf("read registration token %s: %w", t.Name, err)
		}
		return value, nil
	}
	r.mu.Lock()
	value, have := r.minted[t.Name]
	r.mu.Unlock()
	if have {
		return value, nil
	}
	value, err := r.minter.MintToken(ctx, t.Scope)
	if err != nil {
		return "", fmt.Errorf("mint registration token %s: %w", t.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.minted[t.Name] = value
	return value, nil
}

func (r *Registrar) accept(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rejected, name)
}

func (r *Registrar) reject(name string, value plan.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejected[name] = value
	if r.minted[name] == value {
		delete(r.minted, name)
	}
}
