package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

// tokenOnDisk, enrolmentOnDisk and auditOnDisk are what token, enrolment and
// entries make, as format 3 has it. Files with it exist, so it stays readable.
const (
	tokenOnDisk = `{"id":"t1","name":"stacks","description":"for the stacks","scope":"org:acme","pinned":true,"enabled":true,` +
		`"expires_at":"2026-03-02T12:00:00Z","max_uses":9,"labels":["linux"],"sources":["10.0.0.0/8"],"reap_after":3600000000000,"runner":"linux-1",` +
		`"created_at":"2026-03-01T12:00:00Z","created_by":"uid 0","last_used_at":"2026-03-01T12:00:00.5Z","uses":2,"revoked_at":"2026-03-01T13:00:00Z",` +
		`"hash":"dDEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`
	enrolmentOnDisk = `{"token":"t1","token_name":"stacks","runner_id":7,"uuid":"u1","name":"runner of u1","scope":"repo:a/b","labels":["linux:host"],` +
		`"version":"1.0.8","ephemeral":true,"allowed":["linux"],"source":"10.0.0.7","registered_at":"2026-03-01T12:00:00Z","reap_after":60000000000,` +
		`"offline_since":"2026-03-01T12:01:00Z","leaving":"token stacks was revoked","disabled_at":"2026-03-01T12:02:00Z",` +
		`"gone_at":"2026-03-01T12:03:00Z","gone":"deregistered","pool":"linux","hash":"dTEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`
	auditOnDisk = `{"seq":1,"at":"2026-03-01T12:00:00Z","action":"register","actor":"uid 0","source":"10.0.0.7","token":"stacks","token_id":"t1",` +
		`"runner":"linux-1","runner_id":7,"detail":"as it should"}`
)

func token(id, name string) TokenRecord {
	r := TokenRecord{Token: plan.Token{
		ID: id, Name: name, Description: "for the stacks", Scope: plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, Pinned: true, Enabled: true,
		ExpiresAt: now.Add(24 * time.Hour), MaxUses: 9, Labels: []string{"linux"}, Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		ReapAfter: time.Hour, Runner: "linux-1", CreatedAt: now, CreatedBy: "uid 0", LastUsedAt: now.Add(time.Second / 2), Uses: 2, RevokedAt: now.Add(time.Hour),
	}}
	copy(r.Hash[:], id)
	return r
}

func enrolment(uuid string, at time.Time) EnrolmentRecord {
	r := EnrolmentRecord{Enrolment: plan.Enrolment{
		Token: "t1", TokenName: "stacks", RunnerID: 7, UUID: uuid, Name: "runner of " + uuid, Scope: plan.Scope{Kind: plan.ScopeRepo, Owner: "a", Repo: "b"},
		Labels: []string{"linux:host"}, Version: "1.0.8", Ephemeral: true, Allowed: []string{"linux"}, Source: "10.0.0.7", RegisteredAt: at,
		ReapAfter: time.Minute, OfflineSince: at.Add(time.Minute), Leaving: "token stacks was revoked", DisabledAt: at.Add(2 * time.Minute),
		GoneAt: at.Add(3 * time.Minute), Gone: "deregistered", Pool: "linux",
	}}
	copy(r.Hash[:], uuid)
	return r
}

// entries are audit entries that have no Seq yet.
func entries(actions ...string) []plan.AuditEntry {
	var all []plan.AuditEntry
	for _, a := range actions {
		all = append(all, plan.AuditEntry{At: now, Action: a, Actor: "uid 0", Source: "10.0.0.7", Token: "stacks", TokenID: "t1",
			Runner: "linux-1", RunnerID: 7, Detail: "as it should"})
	}
	return all
}

// holdsTokens demands that the store has exactly these tokens, enrolments and
// actions in the audit log, in this order.
func holdsTokens(t *testing.T, s *Store, tokens []TokenRecord, enrolments []EnrolmentRecord, actions []string) {
	t.Helper()
	gotTokens, err := s.Tokens()
	if err != nil || !reflect.DeepEqual(gotTokens, tokens) {
		t.Errorf("tokens %+v, %v\nwant %+v", gotTokens, err, tokens)
	}
	gotEnrolments, err := s.Enrolments()
	if err != nil || !reflect.DeepEqual(gotEnrolments, enrolments) {
		t.Errorf("enrolments %+v, %v\nwant %+v", gotEnrolments, err, enrolments)
	}
	log, err := s.Audit(0, 0)
	var got []string
	for i, e := range log {
		got = append(got, e.Action)
		if e.Seq != log[0].Seq+uint64(i) {
			t.Errorf("entry %d has seq %d and the first has %d", i, e.Seq, log[0].Seq)
		}
	}
	if err != nil || !reflect.DeepEqual(got, actions) {
		t.Errorf("audit log %v, %v, want %v", got, err, actions)
	}
}

func TestCommitIsKeptAcrossReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := mustOpen(t, dir)
	must(t, s.Commit(TokenChanges{}))
	must(t, s.Commit(TokenChanges{
		PutTokens:     []TokenRecord{token("t1", "b"), token("t2", "c"), token("t3", "a")},
		PutEnrolments: []EnrolmentRecord{enrolment("u1", now.Add(time.Second)), enrolment("u3", now), enrolment("u2", now)},
		Audit:         entries("one", "two"),
	}))
	// IDs are deleted before others are put, so a name can pass on.
	must(t, s.Commit(TokenChanges{
		DeleteTokens: []string{"t2", "never there"}, PutTokens: []TokenRecord{token("t4", "c"), token("t1", "d")},
		DeleteEnrolments: []string{"u3", "never there"}, Audit: entries("three"),
	}))
	tokens := []TokenRecord{token("t3", "a"), token("t4", "c"), token("t1", "d")}
	enrolments := []EnrolmentRecord{enrolment("u2", now), enrolment("u1", now.Add(time.Second))}
	holdsTokens(t, s, tokens, enrolments, []string{"one", "two", "three"})
	must(t, s.Close())
	s = mustOpen(t, dir)
	holdsTokens(t, s, tokens, enrolments, []string{"one", "two", "three"})
	must(t, s.Commit(TokenChanges{Audit: entries("four")}))
	if log, err := s.Audit(3, 0); err != nil || len(log) != 1 || log[0].Seq != 4 {
		t.Errorf("after seq 3 there is %+v, %v", log, err)
	}
}

func TestNamesCanBeSwapped(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	must(t, s.Commit(TokenChanges{PutTokens: []TokenRecord{token("t1", "a"), token("t2", "b")}}))
	must(t, s.Commit(TokenChanges{PutTokens: []TokenRecord{token("t1", "b"), token("t2", "a")}}))
	holdsTokens(t, s, []TokenRecord{token("t2", "a"), token("t1", "b")}, nil, nil)
}

func TestCommitRefusesAllOrNothing(t *testing.T) {
	with := func(change func(*TokenRecord)) TokenChanges {
		r := token("t9", "nine")
		change(&r)
		return TokenChanges{PutTokens: []TokenRecord{r}}
	}
	enrolled := func(change func(*EnrolmentRecord)) TokenChanges {
		r := enrolment("u9", now)
		change(&r)
		return TokenChanges{PutEnrolments: []EnrolmentRecord{r}}
	}
	tests := map[string]struct {
		change TokenChanges
		want   error
		text   string
	}{
		"name is taken":          {with(func(r *TokenRecord) { r.Name = "a" }), plan.ErrConflict, `"a"`},
		"renamed to a taken one": {with(func(r *TokenRecord) { r.ID, r.Name = "t2", "a" }), plan.ErrConflict, `tokens "t1" and "t2"`},
		"two new of one name":    {TokenChanges{PutTokens: []TokenRecord{token("t8", "x"), token("t9", "x")}}, plan.ErrConflict, `"x"`},
		"no ID":                  {with(func(r *TokenRecord) { r.ID = "" }), plan.ErrInvalid, "no ID"},
		"no name":                {with(func(r *TokenRecord) { r.Name = "" }), plan.ErrInvalid, "no name"},
		"no scope":               {with(func(r *TokenRecord) { r.Scope = plan.Scope{} }), plan.ErrInvalid, "scope"},
		"ID that is no text":     {with(func(r *TokenRecord) { r.ID = "t\xff" }), plan.ErrInvalid, "it says that it is"},
		"time beyond all":        {with(func(r *TokenRecord) { r.ExpiresAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) }), plan.ErrInvalid, "year"},
		"ID without end":         {with(func(r *TokenRecord) { r.ID = strings.Repeat("t", bbolt.MaxKeySize+1) }), nil, "too large"},
		"no UUID":                {enrolled(func(r *EnrolmentRecord) { r.UUID = "" }), plan.ErrInvalid, "no ID"},
		"no runner's name":       {enrolled(func(r *EnrolmentRecord) { r.Name = "" }), plan.ErrInvalid, "no name"},
		"no runner's scope":      {enrolled(func(r *EnrolmentRecord) { r.Scope.Repo = "" }), plan.ErrInvalid, "scope"},
		"entry without a time":   {TokenChanges{Audit: []plan.AuditEntry{{Action: "register"}}}, plan.ErrInvalid, "no time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
			tokens, enrolments := []TokenRecord{token("t1", "a"), token("t2", "b")}, []EnrolmentRecord{enrolment("u1", now)}
			must(t, s.Commit(TokenChanges{PutTokens: tokens, PutEnrolments: enrolments, Audit: entries("before")}))
			c, used := tt.change, token("t1", "a")
			used.Uses++
			c.DeleteTokens, c.DeleteEnrolments = []string{"t3"}, []string{"u1"} // and something that could be done
			c.PutTokens = append([]TokenRecord{used}, c.PutTokens...)
			c.PutEnrolments = append([]EnrolmentRecord{enrolment("u7", now)}, c.PutEnrolments...)
			c.Audit = append(entries("now"), c.Audit...)
			err := s.Commit(c)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), s.Path()) {
				t.Errorf("error = %v, want %v with %q and the path", err, tt.want, tt.text)
			}
			holdsTokens(t, s, tokens, enrolments, []string{"before"})
			must(t, s.Commit(TokenChanges{DeleteTokens: []string{"t1"}, Audit: entries("after")}))
			holdsTokens(t, s, tokens[1:], enrolments, []string{"before", "after"})
		})
	}
}

// TestCommitTouchesNothingOfItsCaller: the entries can be used again.
func TestCommitTouchesNothingOfItsCaller(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	log := entries("register")
	log[0].Seq = 77
	must(t, s.Commit(TokenChanges{Audit: log}), s.Commit(TokenChanges{Audit: log}))
	if log[0].Seq != 77 {
		t.Errorf("the caller's entry has seq %d now", log[0].Seq)
	}
	holdsTokens(t, s, nil, nil, []string{"register", "register"})
}

func TestAuditIsPagedAndPruned(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	s.db.NoSync = true
	var many []string
	for i := range keptAudit - 5 {
		many = append(many, fmt.Sprint(i+1))
	}
	must(t, s.Commit(TokenChanges{Audit: entries(many...)}))
	for i := range 25 {
		must(t, s.Commit(TokenChanges{Audit: entries(fmt.Sprint(keptAudit - 4 + i))}))
	}
	const first, last = 21, keptAudit + 20
	tests := map[string]struct {
		after    uint64
		limit    int
		from, to uint64 // seq; 1 to 0 for none
	}{
		"all":                   {0, 0, first, last},
		"all, negative limit":   {0, -1, first, last},
		"the last ones":         {0, 3, last - 2, last},
		"more than there are":   {0, 1 << 40, first, last},
		"from before the first": {3, 2, first, first + 1},
		"from the first":        {first, 2, first + 1, first + 2},
		"from one":              {500, 3, 501, 503},
		"all from one":          {last - 2, 0, last - 1, last},
		"fewer than the limit":  {last - 2, 9, last - 1, last},
		"from the last":         {last, 5, 1, 0},
		"from beyond":           {1<<64 - 1, 0, 1, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			log, err := s.Audit(tt.after, tt.limit)
			must(t, err)
			if len(log) != int(tt.to+1-tt.from) || len(log) > 0 && (log[0].Seq != tt.from || log[len(log)-1].Seq != tt.to) {
				t.Fatalf("%d entries, want %d to %d", len(log), tt.from, tt.to)
			}
			for i, e := range log {
				if e.Seq != tt.from+uint64(i) || e.Action != fmt.Sprint(e.Seq) {
					t.Fatalf("entry %d is %+v", i, e)
				}
			}
		})
	}
	must(t, s.Close())
	if r, err := Check(s.Path(), ""); err != nil || len(r.Faults) != 0 || r.AuditEntries != keptAudit {
		t.Errorf("check: %d entries, %v, %v", r.AuditEntries, r.Faults, err)
	}
}

func TestStateThatDoesNotExistHasNoTokens(t *testing.T) {
	holdsTokens(t, &Store{}, nil, nil, nil)
}

func TestLayoutOnDisk(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	must(t, s.Commit(TokenChanges{PutTokens: []TokenRecord{token("t1", "stacks")}, PutEnrolments: []EnrolmentRecord{enrolment("u1", now)}, Audit: entries("register")}))
	must(t, s.db.View(func(tx *bbolt.Tx) error {
		for want, got := range map[string][]byte{
			tokenOnDisk:     tx.Bucket([]byte("tokens")).Get([]byte("t1")),
			enrolmentOnDisk: tx.Bucket([]byte("enrolments")).Get([]byte("u1")),
			auditOnDisk:     tx.Bucket([]byte("audit")).Get([]byte("\x00\x00\x00\x00\x00\x00\x00\x01")),
		} {
			if string(got) != want {
				t.Errorf("on disk there is\n%s\nwant\n%s", got, want)
			}
		}
		return nil
	}))
}

func TestTokensAsJSONHaveNoHash(t *testing.T) {
	data, err := json.Marshal([]any{[]TokenRecord{token("t1", "stacks")}, []EnrolmentRecord{enrolment("u1", now)}})
	must(t, err)
	var shown [2][1]map[string]any
	must(t, json.Unmarshal(data, &shown))
	for i, onDisk := range []string{tokenOnDisk, enrolmentOnDisk} {
		var want map[string]any
		must(t, json.Unmarshal([]byte(onDisk), &want))
		delete(want, "hash")
		if !reflect.DeepEqual(shown[i][0], want) {
			t.Errorf("shown is %v\nwant %v", shown[i][0], want)
		}
	}
	if bytes.Contains(bytes.ToLower(data), []byte("hash")) {
		t.Errorf("the hash is shown: %s", data)
	}
}
