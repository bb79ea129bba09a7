package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

var (
	orgScope = plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}
	somehost = netip.MustParseAddr("10.1.2.3")

	errBroken   = errors.New("connection reset in the middle of the answer")
	errDisk     = errors.New("no space left on device")
	errDialling = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
)

// world is a gateway without its listener, on a Gitea, a store and a fleet
// that are made of maps. At its end no secret may have shown anywhere.
type world struct {
	t     *testing.T
	gitea *mapGitea
	store *mapStore
	fleet *mapFleet
	cfg   Config
	log   *logLines

	g       *Gateway
	stop    func() // ends the janitor and waits for it
	secrets []string
	said    []string // every error that was returned
}

// newWorld makes a world and loads its gateway. Call it in a synctest bubble
// if its janitor is to run.
func newWorld(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	w := &world{t: t, gitea: newMapGitea(orgScope), store: newMapStore(), fleet: &mapFleet{owner: make(map[netip.Addr]string), ids: make(map[string]plan.Identity)}, log: &logLines{},
		cfg: Config{PublicURL: "https://runners.example", PerToken: 1000, Version: "test"}}
	for _, c := range change {
		c(w)
	}
	w.boot()
	t.Cleanup(func() {
		w.checkSecrets()
		if t.Failed() {
			t.Logf("log:\n%s", w.log)
		}
	})
	return w
}

// boot starts a new process on what is stored.
func (w *world) boot() {
	w.t.Helper()
	w.g = New(w.cfg, Ports{Enroller: w.gitea, Forge: w.gitea, Verifier: w.gitea, Store: w.store, Fleet: w.fleet}, slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err := w.g.Load(); err != nil {
		w.t.Fatal(err)
	}
}

// run starts the janitor.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.g.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run = %v", err)
		}
	}
}

// token makes a token. Without changes it is pinned.
func (w *world) token(name string, change ...func(*plan.TokenSpec)) plan.NewToken {
	w.t.Helper()
	spec := plan.TokenSpec{Name: name, Scope: orgScope, Pinned: true}
	for _, c := range change {
		c(&spec)
	}
	made, err := w.g.Create(w.t.Context(), "alice", spec)
	if err != nil {
		w.t.Fatal(err)
	}
	w.secrets = append(w.secrets, made.Secret.Reveal())
	return made
}

func singleUse(s *plan.TokenSpec) { s.Pinned = false }

func (w *world) request(secret plan.Secret, name string, labels ...string) registration {
	return registration{Request: &runnerv1.RegisterRequest{Token: secret.Reveal(), Name: name, Labels: labels}, Source: somehost}
}

// admit registers a runner from somehost.
func (w *world) admit(secret plan.Secret, name string, labels ...string) (*runnerv1.Runner, error) {
	return w.admitAs(w.request(secret, name, labels...))
}

func (w *world) admitAs(r registration) (*runnerv1.Runner, error) {
	resp, err := w.g.admit(w.t.Context(), r)
	w.hear(err)
	return resp.GetRunner(), err
}

// runner registers a runner that has to be accepted, and lets it be online.
func (w *world) runner(secret plan.Secret, name string) *runnerv1.Runner {
	w.t.Helper()
	r, err := w.admit(secret, name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.gitea.online(r.GetId(), true)
	return r
}

// deregister has a runner ask for its deregistration.
func (w *world) deregister(r *runnerv1.Runner, change ...func(*DeregisterRequest)) (plan.Enrolment, error) {
	req := DeregisterRequest{ID: r.GetId(), UUID: r.GetUuid(), Token: plan.Secret(r.GetToken()), Source: somehost}
	for _, c := range change {
		c(&req)
	}
	e, err := w.g.Deregister(w.t.Context(), req)
	w.hear(err)
	return e, err
}

func force(r *DeregisterRequest) { r.Force = true }

// hear keeps what an error says, with all its causes.
func (w *world) hear(err error) {
	if err != nil {
		w.gitea.mu.Lock()
		w.said = append(w.said, fmt.Sprintf("%v %+v", err, errors.Unwrap(err)))
		w.gitea.mu.Unlock()
	}
}

// is returns the token's and its runners' present state.
func (w *world) is(name string) (plan.Token, []plan.Enrolment) {
	w.t.Helper()
	t, list, err := w.g.Token(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return t, list
}

func (w *world) wantUses(name string, want int) {
	w.t.Helper()
	if t, _ := w.is(name); t.Uses != want {
		w.t.Errorf("token %s has %d uses, want %d", name, t.Uses, want)
	}
	if stored := w.store.token(name); stored.Uses != want {
		w.t.Errorf("token %s has %d uses on disk, want %d", name, stored.Uses, want)
	}
}

// actions lists the audit log's actions, oldest first.
func (w *world) actions() string {
	var out []string
	entries, _ := w.store.Audit(0, 0)
	for _, e := range entries {
		out = append(out, e.Action)
	}
	return strings.Join(out, " ")
}

// checkSecrets looks for every secret in everything that can be seen.
func (w *world) checkSecrets() {
	audit, _ := json.Marshal(w.store.audit)
	tokens, _ := json.Marshal(w.store.tokens)
	enrolments, _ := json.Marshal(w.store.enrolments)
	seen := map[string]string{"the log": w.log.String(), "the audit log": string(audit), "the stored tokens": string(tokens),
		"the stored runners": string(enrolments), "the errors": strings.Join(w.said, "\n")}
	w.gitea.mu.Lock()
	defer w.gitea.mu.Unlock()
	seen["what Gitea was asked"] = strings.Join(w.gitea.asked, "\n")
	for _, secret := range append(w.secrets, w.gitea.secrets...) {
		for where, text := range seen {
			if strings.Contains(text, secret) {
				w.t.Errorf("%s shows the secret %s", where, secret)
			}
		}
	}
}

// wantRefusal checks an error's kind and text.
func wantRefusal(t *testing.T, err error, kind refusalKind, part string) *refusal {
	t.Helper()
	var no *refusal
	if !errors.As(err, &no) {
		t.Fatalf("error = %v (%T), want a refusal", err, err)
	}
	if no.kind != kind || !strings.Contains(no.message, part) {
		t.Errorf("refusal of kind %d %q, want kind %d with %q", no.kind, no.message, kind, part)
	}
	return no
}

// mapStore keeps everything as JSON in maps, as a disk would.
type mapStore struct {
	mu                 sync.Mutex
	tokens, enrolments map[string]string
	audit              []plan.AuditEntry
	commits            int
	// fail, if not nil, is the answer to a commit, by its number.
	fail func(commit int) error
}

func newMapStore() *mapStore {
	return &mapStore{tokens: make(map[string]string), enrolments: make(map[string]string)}
}

func (s *mapStore) Commit(c state.TokenChanges) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	if s.fail != nil {
		if err := s.fail(s.commits); err != nil {
			return err
		}
	}
	for _, id := range c.DeleteTokens {
		delete(s.tokens, id)
	}
	for _, uuid := range c.DeleteEnrolments {
		delete(s.enrolments, uuid)
	}
	names := make(map[string]string)
	for _, t := range c.PutTokens {
		s.tokens[t.ID] = write(onDisk[plan.Token]{t.Token, t.Hash})
	}
	for id, text := range s.tokens {
		name := read[plan.Token](text).Value.Name
		if names[name] != "" {
			panic("tokens " + id + " and " + names[name] + " have the same name " + name)
		}
		names[name] = id
	}
	for _, e := range c.PutEnrolments {
		s.enrolments[e.UUID] = write(onDisk[plan.Enrolment]{e.Enrolment, e.Hash})
	}
	for _, e := range c.Audit {
		if e.At.IsZero() || e.Action == "" {
			panic(fmt.Sprintf("audit entry without a time or an action: %+v", e))
		}
		e.Seq = uint64(len(s.audit) + 1)
		s.audit = append(s.audit, e)
	}
	return nil
}

func write(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// onDisk is a record with its hash, which the records' own JSON leaves out.
type onDisk[T any] struct {
	Value T
	Hash  hash
}

func read[T any](text string) (v onDisk[T]) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

func (s *mapStore) Tokens() (out []state.TokenRecord, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.tokens {
		r := read[plan.Token](text)
		out = append(out, state.TokenRecord{Token: r.Value, Hash: r.Hash})
	}
	return out, nil
}

func (s *mapStore) Enrolments() (out []state.EnrolmentRecord, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.enrolments {
		r := read[plan.Enrolment](text)
		out = append(out, state.EnrolmentRecord{Enrolment: r.Value, Hash: r.Hash})
	}
	return out, nil
}

func (s *mapStore) Audit(after uint64, limit int) ([]plan.AuditEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.audit[min(int(after), len(s.audit)):])
	if after == 0 && limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return out, nil
}

func (s *mapStore) token(name string) plan.Token {
	all, _ := s.Tokens()
	for _, t := range all {
		if t.Name == name {
			return t.Token
		}
	}
	return plan.Token{}
}

// size counts the tokens and runners.
func (s *mapStore) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens) + len(s.enrolments)
}

// made counts the commits since setFail.
func (s *mapStore) made() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commits
}

func (s *mapStore) setFail(f func(commit int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits, s.fail = 0, f
}

// mapGitea is a server with runners and jobs, and a registration token for
// each of its scopes.
type mapGitea struct {
	mu         sync.Mutex
	scopes     []plan.Scope
	runners    map[int64]*mapRunner
	jobs       map[int64]plan.Job
	lastID     int64
	asked      []string                         // every call, with its arguments
	secrets    []string                         // of runners
	fail       map[string]error                 // answer of a method
	answer     func(*runnerv1.RegisterResponse) // changes what Register answers
	made       func(id int64)                   // called once Register has made a runner
	incomplete bool                             // lists are
}

type mapRunner struct {
	plan.ServerRunner
	scope       plan.Scope
	uuid, token string
}

func newMapGitea(scopes ...plan.Scope) *mapGitea {
	return &mapGitea{scopes: scopes, runners: make(map[int64]*mapRunner), jobs: make(map[int64]plan.Job), fail: make(map[string]error)}
}

// ask notes a call and returns the failure that was set for it.
func (f *mapGitea) ask(ctx context.Context, method string, args ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.asked = append(f.asked, method+" "+strings.TrimSpace(fmt.Sprintln(args...)))
	return f.fail[method]
}

// calls counts the calls of a method, or of all.
func (f *mapGitea) calls(method string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asked {
		if method == "" || strings.HasPrefix(a, method+" ") {
			n++
		}
	}
	return n
}

func (f *mapGitea) Scopes() []plan.Scope { return f.scopes }

func (f *mapGitea) Register(ctx context.Context, scope plan.Scope, req *runnerv1.RegisterRequest) (*runnerv1.RegisterResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.scopes, scope) {
		panic("no such scope: " + scope.String())
	}
	failure := f.ask(ctx, "Register", scope, req.String())
	if failure != nil && !errors.Is(failure, errBroken) {
		return nil, failure
	}
	r := f.add(scope, req.GetName())
	r.Labels, r.Ephemeral = req.GetLabels(), req.GetEphemeral()
	if f.made != nil {
		f.made(r.ID)
	}
	if failure != nil {
		return nil, failure
	}
	resp := &runnerv1.RegisterResponse{Runner: &runnerv1.Runner{Id: r.ID, Uuid: r.uuid, Token: r.token, Name: r.Name, Version: req.GetVersion(), Labels: r.Labels, Ephemeral: r.Ephemeral}}
	if f.answer != nil {
		f.answer(resp)
	}
	return resp, nil
}

// add makes a runner. The caller has the lock.
func (f *mapGitea) add(scope plan.Scope, name string) *mapRunner {
	f.lastID++
	r := &mapRunner{ServerRunner: plan.ServerRunner{ID: f.lastID, Name: name}, scope: scope,
		uuid: fmt.Sprintf("00000000-0000-4000-8000-%012d", f.lastID), token: fmt.Sprintf("own-token-of-runner-%d-8843d7f9", f.lastID)}
	f.runners[r.ID] = r
	f.secrets = append(f.secrets, r.token)
	return r
}

// direct makes a runner that registered without the gateway.
func (f *mapGitea) direct(scope plan.Scope, name string) *runnerv1.Runner {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.add(scope, name)
	r.Labels, r.Online = []string{"linux"}, true
	return &runnerv1.Runner{Id: r.ID, Uuid: r.uuid, Token: r.token, Name: name}
}

func (f *mapGitea) covers(scope plan.Scope, r *mapRunner) bool {
	return scope == r.scope || scope.Kind == plan.ScopeInstance
}

func (f *mapGitea) Runners(ctx context.Context, scope plan.Scope) (plan.RunnerList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := plan.RunnerList{Complete: !f.incomplete}
	for _, id := range slices.Sorted(maps.Keys(f.runners)) {
		if r := f.runners[id]; f.covers(scope, r) {
			list.Runners = append(list.Runners, r.ServerRunner)
		}
	}
	if f.incomplete {
		list.Runners = nil
	}
	return list, f.ask(ctx, "Runners", scope)
}

func (f *mapGitea) find(scope plan.Scope, id int64) (*mapRunner, error) {
	r := f.runners[id]
	switch {
	case r == nil:
		return nil, fmt.Errorf("find runner %d: %w", id, plan.ErrNotFound)
	case !f.covers(scope, r):
		return nil, fmt.Errorf("find runner %d: %w: it belongs to another scope", id, plan.ErrDenied)
	}
	return r, nil
}

func (f *mapGitea) Runner(ctx context.Context, scope plan.Scope, id int64) (plan.ServerRunner, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask(ctx, "Runner", scope, id); err != nil {
		return plan.ServerRunner{}, err
	}
	r, err := f.find(scope, id)
	if err != nil {
		return plan.ServerRunner{}, err
	}
	return r.ServerRunner, nil
}

func (f *mapGitea) RunningJobs(ctx context.Context, scope plan.Scope) (plan.JobList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.ask(ctx, "RunningJobs", scope)
	list := plan.JobList{Complete: !f.incomplete}
	if !f.incomplete {
		list.Jobs = slices.Collect(maps.Values(f.jobs))
	}
	return list, err
}

func (f *mapGitea) SetRunnerDisabled(ctx context.Context, scope plan.Scope, id int64, disabled bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask(ctx, "SetRunnerDisabled", scope, id, disabled); err != nil {
		return err
	}
	r, err := f.find(scope, id)
	if err == nil {
		r.Disabled = disabled
	}
	return err
}

func (f *mapGitea) DeleteRunner(ctx context.Context, scope plan.Scope, id int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask(ctx, "DeleteRunner", scope, id); err != nil {
		return err
	}
	if _, err := f.find(scope, id); err != nil {
		return err
	}
	for _, j := range f.jobs {
		if j.RunnerID == id {
			f.asked = append(f.asked, "busy deleted")
		}
	}
	delete(f.runners, id)
	return nil
}

func (f *mapGitea) Verify(ctx context.Context, id plan.Identity) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ask(ctx, "Verify", id.ID, id.UUID, id.Labels); err != nil {
		return 0, err
	}
	for _, r := range f.runners {
		if r.uuid == id.UUID && r.token == id.Token.Reveal() {
			r.Labels = id.Labels
			return r.ID, nil
		}
	}
	return 0, fmt.Errorf("verify: %w", plan.ErrNotFound)
}

func (f *mapGitea) online(id int64, online bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runners[id].Online = online
}

// begin gives a runner a job, end ends it.
func (f *mapGitea) begin(runner int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs[runner] = plan.Job{ID: 700 + runner, Name: "build", Repo: "acme/app", RunnerID: runner, Status: plan.JobInProgress}
}

func (f *mapGitea) end(runner int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.jobs, runner)
}

func (f *mapGitea) setFail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[method] = err
}

// cutLists makes lists incomplete, or complete again.
func (f *mapGitea) cutLists(incomplete bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.incomplete = incomplete
}

// edit changes a runner behind everybody's back; remove deletes it.
func (f *mapGitea) edit(id int64, change func(*mapRunner)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.runners[id])
}

func (f *mapGitea) remove(id int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.runners, id)
}

// get returns a runner as it is, and whether there is one.
func (f *mapGitea) get(id int64) (plan.ServerRunner, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, found := f.runners[id]
	if !found {
		return plan.ServerRunner{}, false
	}
	return r.ServerRunner, true
}

func (f *mapGitea) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.runners)
}

// mapFleet knows whose container has which address.
type mapFleet struct {
	mu    sync.Mutex
	owner map[netip.Addr]string
	ids   map[string]plan.Identity
	fail  error // answer of both
}

func (f *mapFleet) Enrolled(_ context.Context, runner string, id plan.Identity) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		f.ids[runner] = id
	}
	return f.fail
}

func (f *mapFleet) Owns(_ context.Context, runner string, addr netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil && f.owner[addr] != runner {
		return fmt.Errorf("find the container of %s: %w", runner, plan.ErrDenied)
	}
	return f.fail
}

// wait lets virtual time pass, and what is due by then be done.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
