package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// fakeGateway keeps tokens in memory as the gateway does. Its secrets are
// tokenSecret and a number.
type fakeGateway struct {
	mu      sync.Mutex
	tokens  map[string]plan.Token
	runners []plan.Enrolment
	entries []plan.AuditEntry
	minted  int
}

const tokenSecret = "scaler_secret"

func (f *fakeGateway) Create(_ context.Context, actor string, spec plan.TokenSpec) (plan.NewToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, taken := f.tokens[spec.Name]; taken {
		return plan.NewToken{}, fmt.Errorf("token %s is there already: %w", spec.Name, plan.ErrConflict)
	}
	if strings.ContainsRune(spec.Name, ' ') {
		return plan.NewToken{}, fmt.Errorf("token name %q: use letters: %w", spec.Name, plan.ErrInvalid)
	}
	return f.put("token.create", plan.Token{ID: "1", Name: spec.Name, Description: spec.Description, Scope: spec.Scope, Pinned: spec.Pinned, Enabled: true,
		ExpiresAt: spec.ExpiresAt, MaxUses: spec.MaxUses, Labels: spec.Labels, Sources: spec.Sources, ReapAfter: spec.ReapAfter, CreatedAt: noon, CreatedBy: actor}), nil
}

func (f *fakeGateway) Tokens() []plan.Token {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []plan.Token
	for _, t := range f.tokens {
		list = append(list, t)
	}
	slices.SortFunc(list, func(x, y plan.Token) int { return strings.Compare(x.Name, y.Name) })
	return list
}

func (f *fakeGateway) Token(name string) (plan.Token, []plan.Enrolment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, known := f.tokens[name]
	if !known {
		return t, nil, fmt.Errorf("token %s: %w", name, plan.ErrNotFound)
	}
	return t, slices.DeleteFunc(slices.Clone(f.runners), func(r plan.Enrolment) bool { return r.TokenName != name }), nil
}

func (f *fakeGateway) Change(_ context.Context, _, name string, change plan.TokenChange) (plan.Token, error) {
	t, _, err := f.Token(name)
	if err != nil {
		return t, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch change {
	case plan.TokenPin, plan.TokenUnpin, plan.TokenEnable:
		if !t.RevokedAt.IsZero() {
			return t, fmt.Errorf("%s token %s: %w: it was revoked", change, name, plan.ErrConflict)
		}
	}
	switch change {
	case plan.TokenPin, plan.TokenUnpin:
		t.Pinned = change == plan.TokenPin
	case plan.TokenEnable, plan.TokenDisable:
		t.Enabled = change == plan.TokenEnable
	case plan.TokenRevoke:
		t.Enabled, t.RevokedAt = false, noon
		for i := range f.runners {
			f.runners[i].Leaving = "token " + name + " was revoked"
		}
	}
	f.put("token."+string(change), t)
	if change == plan.TokenDelete {
		delete(f.tokens, name)
	}
	return t, nil
}

func (f *fakeGateway) Reset(_ context.Context, _, name string) (plan.NewToken, error) {
	t, _, err := f.Token(name)
	if err != nil {
		return plan.NewToken{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t.Uses = 0
	return f.put("token.reset", t), nil
}

func (f *fakeGateway) Audit(_ string, after uint64, limit int) ([]plan.AuditEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entries := slices.Clone(f.entries[min(int(after), len(f.entries)):])
	if limit > 0 && limit < len(entries) {
		if after == 0 {
			return entries[len(entries)-limit:], nil
		}
		return entries[:limit], nil
	}
	return entries, nil
}

// put stores a token, with a new secret that only some callers show.
func (f *fakeGateway) put(action string, t plan.Token) plan.NewToken {
	if f.tokens == nil {
		f.tokens = make(map[string]plan.Token)
	}
	f.minted++
	f.tokens[t.Name] = t
	f.entries = append(f.entries, plan.AuditEntry{Seq: uint64(len(f.entries) + 1), At: noon, Action: action, Actor: "uid 0", Token: t.Name})
	return plan.NewToken{Token: t, Secret: plan.Secret(fmt.Sprint(tokenSecret, f.minted))}
}

// startGateway serves a daemon with a gateway on a socket until the test ends.
func startGateway(t *testing.T, f *fakeGateway) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "scaler")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s.sock")
	ln, err := server.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := server.New(&fakeDaemon{}, slog.New(slog.DiscardHandler), server.WithTokens(f), server.WithAudit(f.Audit))
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		os.RemoveAll(dir)
	})
	return socket
}

// swarm is a gateway that has been in use: one token with three runners, of
// which one is gone.
func swarm() *fakeGateway {
	scope := plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}
	return &fakeGateway{
		tokens: map[string]plan.Token{"stacks": {ID: "1", Name: "stacks", Description: "Swarm \x1b[2J", Scope: scope, Pinned: true, Enabled: true, MaxUses: 10, Uses: 3,
			ReapAfter: 24 * time.Hour, CreatedAt: noon.Add(-time.Hour), CreatedBy: "uid 0 on the control socket", LastUsedAt: noon.Add(-time.Minute)}},
		runners: []plan.Enrolment{
			{TokenName: "stacks", Scope: scope, Name: "swarm-1", RunnerID: 7, Source: "10.0.0.5", RegisteredAt: noon.Add(-time.Hour)},
			{TokenName: "stacks", Scope: scope, Name: "swarm-2", RunnerID: 8, Source: "10.0.0.6", RegisteredAt: noon.Add(-time.Hour), OfflineSince: noon.Add(-time.Minute)},
			{TokenName: "stacks", Scope: scope, Name: "swarm-3", RunnerID: 9, RegisteredAt: noon.Add(-time.Hour), GoneAt: noon.Add(-time.Second), Gone: "deleted in Gitea"},
		},
	}
}

func TestTokenCreate(t *testing.T) {
	f := &fakeGateway{}
	socket := startGateway(t, f)
	out, errs, code := runCommand(t, "token", "create", "--socket", socket, "--name", "stacks", "--scope", "repo:acme/app", "--pinned", "--description", "a, b",
		"--expires", "2100-01-01T00:00:00Z", "--max-uses", "10", "--labels", "linux,arm64", "--labels", "gpu", "--sources", "10.0.0.0/8, fd00::/8", "--sources", "192.0.2.7/32", "--reap-after", "1d12h")
	if code != exitOK || out != tokenSecret+"1\n" || strings.Contains(errs, tokenSecret) || !strings.Contains(errs, "Token stacks is made: repo:acme/app, pinned, for 10 runners.\n") ||
		!strings.Contains(errs, "scaler token show stacks\n") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out, errs)
	}
	want := plan.Token{ID: "1", Name: "stacks", Description: "a, b", Scope: plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "app"}, Pinned: true, Enabled: true,
		ExpiresAt: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), MaxUses: 10, Labels: []string{"linux", "arm64", "gpu"},
		Sources:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.7/32")},
		ReapAfter: 36 * time.Hour, CreatedAt: noon, CreatedBy: f.tokens["stacks"].CreatedBy}
	if got := f.tokens["stacks"]; !reflect.DeepEqual(got, want) {
		t.Errorf("made %+v, want %+v", got, want)
	}

	out, errs, code = runCommand(t, "token", "create", "--socket", socket, "--name", "once", "--scope", "instance", "--json")
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK || errs != "" {
		t.Fatalf("exit code %d, %v, stderr %q", code, err, errs)
	}
	if got["name"] != "once" || got["token"] != tokenSecret+"2" || got["scope"] != "instance" || got["pinned"] != false || got["reap_after"] != float64(24*time.Hour) {
		t.Errorf("printed %v", got)
	}
	for name, want := range map[string]time.Duration{"never": 0, "default": reapAfter} {
		args := []string{"token", "create", "--socket", socket, "--name", name, "--scope", "instance"}
		if want == 0 {
			args = append(args, "--reap-after", "0")
		}
		mustRun(t, args...)
		if got := f.tokens[name].ReapAfter; got != want {
			t.Errorf("%s: reaped after %v, want %v", name, got, want)
		}
	}
}

func TestTokenReset(t *testing.T) {
	f := swarm()
	socket := startGateway(t, f)
	out, errs, code := runCommand(t, "token", "reset", "stacks", "--socket", socket)
	if code != exitOK || out != tokenSecret+"1\n" || !strings.Contains(errs, "Token stacks has a new secret: pinned, for 10 runners, active.\n") || strings.Contains(errs, tokenSecret) {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out, errs)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(mustRun(t, "token", "reset", "stacks", "--json", "--socket", socket)), &got); err != nil || got["token"] != tokenSecret+"2" || got["uses"] != 0.0 {
		t.Errorf("printed %v, %v", got, err)
	}
}

func TestTokenDeleteSaysWhatStays(t *testing.T) {
	here := plan.Enrolment{TokenName: "stacks", Scope: plan.Scope{Kind: plan.ScopeInstance}}
	leaving, gone := here, here
	leaving.Leaving, gone.GoneAt = "offline for 24h", noon
	for _, tt := range []struct {
		runners []plan.Enrolment
		want    string
	}{
		{nil, "; no runner is left that came by it.\n"},
		{[]plan.Enrolment{gone}, "; no runner is left that came by it.\n"},
		{[]plan.Enrolment{here, here, gone}, "; what came by it stays registered: 2 runners.\n"},
		{[]plan.Enrolment{leaving, here}, "; what came by it stays registered: 1 runner; still deregistered after its job: 1 runner.\n"},
	} {
		f := swarm()
		f.runners = tt.runners
		if got := mustRun(t, "token", "delete", "stacks", "--socket", startGateway(t, f)); got != "Token stacks is deleted"+tt.want || len(f.tokens) != 0 {
			t.Errorf("%+v: printed %q, want %q", tt.runners, got, tt.want)
		}
	}
}

// The JSON of a new token has every key of a token, and the secret beside them.
func TestShownSecretIsFlat(t *testing.T) {
	full := plan.Token{ExpiresAt: noon, RevokedAt: noon, LastUsedAt: noon, Description: "d", MaxUses: 1, Labels: []string{"l"}, ReapAfter: 1, Runner: "r", CreatedBy: "c",
		Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	keys := func(v any) map[string]any {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		m := make(map[string]any)
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	want := keys(full)
	want["token"] = "s"
	if got := keys(shownSecret{"s", full}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSecretThatCannotBePrinted(t *testing.T) {
	for _, more := range [][]string{nil, {"--json"}} {
		f := &fakeGateway{}
		var errs bytes.Buffer
		code := run(t.Context(), append([]string{"token", "create", "--name", "a", "--scope", "instance", "--socket", startGateway(t, f)}, more...), brokenWriter{}, &errs)
		if code != exitFailure || !strings.Contains(errs.String(), "the secret of token a is lost, scaler token reset makes another") || strings.Contains(errs.String(), tokenSecret) {
			t.Errorf("exit code %d, %q", code, errs.String())
		}
	}
}

func TestTokenChanges(t *testing.T) {
	f := swarm()
	socket := startGateway(t, f)
	for _, tt := range []struct {
		change, want string
	}{
		{"disable", "Token stacks: pinned, for 10 runners, disabled.\n"},
		{"enable", "Token stacks: pinned, for 10 runners, active.\n"},
		{"unpin", "Token stacks: single use, used up.\n"},
		{"pin", "Token stacks: pinned, for 10 runners, active.\n"},
		{"revoke --yes", "Token stacks is revoked; what came by it is deregistered, each after its job: 2 runners.\nSee them go: scaler token show stacks\n"},
		{"disable", "Token stacks: pinned, for 10 runners, revoked 2026-03-01 12:00:00 UTC.\n"},
		{"delete", "Token stacks is deleted; still deregistered after its job: 2 runners.\n"},
	} {
		if got := mustRun(t, append(strings.Fields("token "+tt.change), "stacks", "--socket", socket)...); got != tt.want {
			t.Errorf("%s prints %q, want %q", tt.change, got, tt.want)
		}
	}
	if len(f.tokens) != 0 || len(f.runners) != 3 {
		t.Errorf("left: %+v, %+v", f.tokens, f.runners)
	}
	f.put("", plan.Token{Name: "a", Scope: plan.Scope{Kind: plan.ScopeInstance}})
	for _, tt := range [][2]string{{"revoke -y", "Token a is revoked; no runner is left that came by it.\n"}, {"delete", "Token a is deleted; no runner is left that came by it.\n"}} {
		if got := mustRun(t, append(strings.Fields("token "+tt[0]), "a", "--socket", socket)...); got != tt[1] {
			t.Errorf("%s prints %q, want %q", tt[0], got, tt[1])
		}
	}
	if got := mustRun(t, "token", "list", "--socket", socket); got != "There is no token. Make one: scaler token create --help\n" {
		t.Errorf("list prints %q", got)
	}
}

func TestTokenEndsAsJSON(t *testing.T) {
	f := swarm()
	socket := startGateway(t, f)
	for _, tt := range []struct {
		change string
		want   endedToken
	}{
		{"revoke --yes", endedToken{Name: "stacks", Ended: "revoked", Leaving: 2}},
		{"delete", endedToken{Name: "stacks", Ended: "deleted", Leaving: 2}},
	} {
		var got endedToken
		out := mustRun(t, append(strings.Fields("token "+tt.change), "stacks", "--json", "--socket", socket)...)
		if err := json.Unmarshal([]byte(out), &got); err != nil || got != tt.want {
			t.Errorf("%s prints %s, %v; want %+v", tt.change, out, err, tt.want)
		}
	}
}

func TestTokenFailures(t *testing.T) {
	f := swarm()
	socket := startGateway(t, f)
	none := startDaemon(t, &fakeDaemon{})
	const create = "token create --name new --scope instance "
	tests := []struct {
		args   string
		code   int
		stderr string
	}{
		{create + "--expires yesterday", exitUsage, `invalid argument "yesterday" for "--expires" flag: want a duration such as 30d or 12h, or a time`},
		{create + "--expires 2020-01-01T00:00:00Z", exitUsage, "it is not in the future"},
		{create + "--expires 0", exitUsage, "it is not in the future"},
		{create + "--expires -1h", exitUsage, "want a duration"},
		{create + "--reap-after soon", exitUsage, "want a duration such as 30d, 12h or 90m"},
		{create + "--pinned --max-uses 0", exitUsage, "want a number from 1 on"},
		{create + "--pinned --max-uses many", exitUsage, "want a number from 1 on"},
		{create + "--max-uses 2", exitUsage, "--max-uses is for a --pinned token"},
		{create + "--sources 10.0.0.1", exitUsage, `network "10.0.0.1": write it as in 10.0.0.0/8 or 192.0.2.7/32`},
		{create + "extra", exitUsage, "See scaler token create --help."},
		{"token create --name new", exitUsage, `required flag(s) "scope" not set`},
		{"token create --name new --scope acme", exitUsage, `must be instance, org:NAME, user:NAME or repo:OWNER/NAME`},
		{"token create --scope instance --name stacks", exitFailure, "scaler: token stacks is there already: conflict"},
		{"token list stacks", exitUsage, "See scaler token list --help."},
		{"token show", exitUsage, "want the name of one token, got 0"},
		{"token delete a b", exitUsage, "want the name of one token, got 2"},
		{"token revoke stacks", exitUsage, "revoke needs --yes where nobody can be asked\nSee scaler token revoke --help."},
		{"token audit --limit -1", exitUsage, "invalid argument"},
		{"token show none", exitFailure, "scaler: token none: not found"},
		{"token pin none", exitFailure, "scaler: token none: not found"},
		{"token reset none", exitFailure, "scaler: token none: not found"},
		{"token delete none", exitFailure, "scaler: token none: not found"},
		{"token revoke none --yes", exitFailure, "scaler: token none: not found"},
		{"token list --socket " + none, exitFailure, "scaler: this scaler has no gateway: set gateway.listen and gateway.public_url"},
		{"token audit --socket " + none, exitFailure, "keeps no audit log"},
		{"token list --socket " + none + "x", exitUnreachable, "no scaler answers"},
		{create + "--socket " + none + "x", exitUnreachable, "no scaler answers"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			args := strings.Fields(tt.args)
			if !slices.Contains(args, "--socket") {
				args = append(args, "--socket", socket)
			}
			stdout, stderr, code := runCommand(t, args...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) || stdout != "" {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d, %q", code, stdout, stderr, tt.code, tt.stderr)
			}
		})
	}
	if len(f.entries) != 0 {
		t.Errorf("something was changed: %+v", f.entries)
	}
	if _, stderr, code := runCommand(t, "token", "show", "", "--socket", socket); code != exitUsage || !strings.Contains(stderr, "got an empty one") {
		t.Errorf("an empty name: exit code %d, %q", code, stderr)
	}
	if _, stderr, code := runCommand(t, "token", "reste"); code != exitUsage || !strings.Contains(stderr, "did you mean create or reset?") {
		t.Errorf("an unknown command: exit code %d, %q", code, stderr)
	}
	if _, stderr, code := runCommand(t, "token", "create", "--name", "a b", "--scope", "instance", "--socket", socket); code != exitFailure || !strings.Contains(stderr, "use letters") {
		t.Errorf("a wrong name: exit code %d, %q", code, stderr)
	}
}

// No command but create and reset prints a secret, and those print it once.
func TestTokenSecretIsPrintedOnce(t *testing.T) {
	socket := startGateway(t, swarm())
	var all string
	for _, args := range []string{
		"create --name a --scope instance", "reset a", "reset a --json", "list", "list --json", "show a", "show a --json", "pin a", "unpin a", "disable a", "enable a",
		"audit", "audit --json", "create --name a --scope instance", "revoke a --yes", "delete a", "audit --json",
	} {
		out, errs, _ := runCommand(t, append(strings.Fields("token "+args), "--socket", socket)...)
		all += out + errs
	}
	if n := strings.Count(all, tokenSecret); n != 3 {
		t.Errorf("secrets are printed %d times, want 3:\n%s", n, all)
	}
}

func TestTokenJSON(t *testing.T) {
	f := swarm()
	socket := startGateway(t, f)
	var list []server.ListedToken
	if err := json.Unmarshal([]byte(mustRun(t, "token", "list", "--json", "--socket", socket)), &list); err != nil || !reflect.DeepEqual(list, []server.ListedToken{{Token: f.tokens["stacks"], Runners: 2}}) {
		t.Errorf("list %+v, %v", list, err)
	}
	var shown struct {
		Token   plan.Token
		Runners []plan.Enrolment
	}
	if err := json.Unmarshal([]byte(mustRun(t, "token", "show", "stacks", "--json", "--socket", socket)), &shown); err != nil ||
		!reflect.DeepEqual(shown.Token, f.tokens["stacks"]) || !reflect.DeepEqual(shown.Runners, f.runners) {
		t.Errorf("show %+v, %v", shown, err)
	}
	if got := mustRun(t, "token", "list", "--json", "--socket", startGateway(t, &fakeGateway{})); got != "[]\n" {
		t.Errorf("an empty list is %q", got)
	}
}

func TestTokenCompletion(t *testing.T) {
	socket := startGateway(t, swarm())
	for _, command := range []string{"show", "pin", "reset", "delete", "revoke"} {
		if got := mustComplete(t, "token", command, "--socket", socket, ""); got != "stacks\tactive\n:4\n" {
			t.Errorf("%s: names offered: %q", command, got)
		}
	}
	for _, args := range [][]string{{"--socket", socket, "stacks", ""}, {"--socket", socket + "x", ""}, {"--socket", socket, "--config", "x", ""}} {
		if got := mustComplete(t, append([]string{"token", "show"}, args...)...); got != ":4\n" {
			t.Errorf("%v: %q", args, got)
		}
	}
}

func TestParseTimes(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration // -1 is an error
	}{
		{"30d", 30 * day}, {"12h", 12 * time.Hour}, {"90m", 90 * time.Minute}, {"1d12h30m", 36*time.Hour + 30*time.Minute}, {"0", 0}, {"0d", 0}, {"106750d", 106750 * day},
		{"", -1}, {"d", -1}, {"30", -1}, {"-30d", -1}, {"-1h", -1}, {"1d-2h", -1}, {"1.5d", -1}, {"1d2d", -1}, {"106751d", -1}, {"99999999999999999999d", -1},
		{"106750d2562047h", -1}, {"30 d", -1}, {"30D", -1},
	}
	for _, tt := range tests {
		d, err := parseDuration(tt.text)
		if tt.want >= 0 && (err != nil || d != tt.want) || tt.want < 0 && err == nil {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", tt.text, d, err, tt.want)
		}
		at, err := parseExpiry(tt.text, noon)
		if tt.want > 0 && (err != nil || !at.Equal(noon.Add(tt.want))) || tt.want == 0 && err == nil {
			t.Errorf("parseExpiry(%q) = %v, %v", tt.text, at, err)
		}
	}
	zoned, err := parseExpiry("2026-03-02T01:00:00+02:00", noon)
	if want := time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC); err != nil || !zoned.Equal(want) {
		t.Errorf("a moment: %v, %v, want %v", zoned, err, want)
	}
	if at, err := parseExpiry("2026-03-01T12:00:00Z", noon); err == nil {
		t.Errorf("the present: %v", at)
	}
}

// endless is a terminal at which nobody types.
type endless struct{}

func (endless) Read([]byte) (int, error) { select {} }

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " yes \r\n": true, "y": true, "\n": false, "": false, "n\n": false, "yep\n": false, "no\ny\n": false} {
		var out bytes.Buffer
		err := confirm(t.Context(), strings.NewReader(answer), &out, "Sure? ")
		if (err == nil) != want || out.String() != "Sure? " {
			t.Errorf("%q: %v, printed %q", answer, err, out.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := confirm(ctx, endless{}, &bytes.Buffer{}, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if err := confirm(t.Context(), strings.NewReader("y\n"), brokenWriter{}, "Sure? "); err == nil {
		t.Error("a question that nobody saw was answered")
	}
}
