package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

var acme = plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}

// spare is a corpse whose identity can be used again, as of n minutes after now.
func spare(name string, n int) plan.Corpse {
	return plan.Corpse{Scope: acme, Since: now.Add(time.Duration(n) * time.Minute), Why: "its runner has ended", Spare: true, Identity: plan.Identity{
		ID: int64(n + 1), UUID: "u-" + name, Name: name, Token: plan.Secret("secret-of-" + name), Address: "http://git.example", Labels: []string{"linux:host"}}}
}

// without is a record that has no identity yet.
func without(name string) Record {
	r := record(name)
	r.Scope, r.Identity = acme, nil
	return r
}

// corpseNames are the names in the order of Corpses.
func corpseNames(t *testing.T, s *Store) []string {
	t.Helper()
	all, err := s.Corpses()
	must(t, err)
	names := make([]string, 0, len(all))
	for _, c := range all {
		names = append(names, c.Identity.Name)
	}
	return names
}

func TestCorpsesAreKeptAcrossReopen(t *testing.T) {
	dir := stateDir(t, nil)
	s := mustOpen(t, dir)
	lost := plan.Corpse{Identity: plan.Identity{Name: "lost"}, Scope: acme, Since: now, Why: "its registration's answer was lost"}
	want := []plan.Corpse{lost, spare("a", 1), spare("b", 2)}
	must(t, s.PutCorpse(want[2]), s.PutCorpse(want[0]), s.PutCorpse(want[1]), s.Close())

	s = mustOpen(t, dir)
	if got, err := s.Corpses(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("corpses %+v, %v\nwant %+v", got, err, want)
	}
	must(t, s.Close())
	if r, err := Check(filepath.Join(dir, FileName), dir); err != nil || r.Corpses != 3 || len(r.Faults) > 0 {
		t.Errorf("checked: %+v, %v", r, err)
	}
}

func TestKeepMovesAnIdentityFromItsRecord(t *testing.T) {
	s := mustOpen(t, stateDir(t, nil))
	must(t, s.Put(record("a")), s.Keep("a", spare("a", 1), 0))
	if all, err := s.Records(); err != nil || len(all) > 0 {
		t.Errorf("records %v, %v", all, err)
	}
	if got := corpseNames(t, s); !slices.Equal(got, []string{"a"}) {
		t.Errorf("corpses %v", got)
	}
	must(t, s.Keep("a", spare("a", 1), 0)) // again, as after an error whose change was made all the same
	if got := corpseNames(t, s); !slices.Equal(got, []string{"a"}) {
		t.Errorf("corpses %v", got)
	}
}

// After an older copy of the state was put back, two records can have one
// identity. Only the last of them gives it back.
func TestKeepLeavesAnIdentityToAnotherRecord(t *testing.T) {
	s := mustOpen(t, stateDir(t, nil))
	old, adopted := record("old"), record("adopted")
	old.Identity, adopted.Identity = &plan.Identity{ID: 7, Name: "shared"}, &plan.Identity{ID: 7, Name: "shared"}
	mentions := record("mentions")
	mentions.Reason = `what "shared" asked for`
	must(t, s.Put(old, adopted, mentions), s.Keep("old", spare("shared", 1), 0), s.PutCorpse(spare("shared", 1)))
	if got := corpseNames(t, s); len(got) > 0 {
		t.Errorf("corpses %v, whose identity another record has", got)
	}
	must(t, s.Keep("adopted", spare("shared", 2), 0))
	if got := corpseNames(t, s); !slices.Equal(got, []string{"shared"}) {
		t.Errorf("corpses %v", got)
	}
}

func TestPutTakesAnIdentityFromTheCorpses(t *testing.T) {
	s := mustOpen(t, stateDir(t, nil))
	adopted := record("container")
	adopted.Identity = &plan.Identity{ID: 7, Name: "a"}
	must(t, s.PutCorpse(spare("a", 1)), s.PutCorpse(spare("b", 1)), s.Put(without("b"), adopted))
	if got := corpseNames(t, s); !slices.Equal(got, []string{"b"}) {
		t.Errorf("corpses %v, want that of which no record has the identity", got)
	}
}

func TestTakeSpare(t *testing.T) {
	s := mustOpen(t, stateDir(t, nil))
	elsewhere, busy := spare("elsewhere", 0), spare("not-spare", 0)
	elsewhere.Scope, busy.Spare = plan.Scope{Kind: plan.ScopeInstance}, false
	must(t, s.PutCorpse(spare("new", 2)), s.PutCorpse(spare("old", 1)), s.PutCorpse(elsewhere), s.PutCorpse(busy), s.Put(without("r1"), without("r2")))
	for i, want := range []string{"old", "new", ""} {
		name := fmt.Sprintf("r%d", i+1)
		taken, found, err := s.TakeSpare(without(name))
		must(t, err)
		if want == "" {
			if found || taken.Identity != nil {
				t.Errorf("%s was given %+v, and there was none", name, taken.Identity)
			}
			continue
		}
		if !found || taken.Name != name || taken.Identity.Name != want || taken.Identity.Token.Reveal() != "secret-of-"+want {
			t.Errorf("%s was given %+v, want %s", name, taken.Identity, want)
		}
		all, err := s.Records()
		must(t, err)
		if i := slices.IndexFunc(all, func(r Record) bool { return r.Name == name }); !reflect.DeepEqual(all[i], taken) {
			t.Errorf("on disk is %+v, want %+v", all[i], taken)
		}
	}
	if got := corpseNames(t, s); !slices.Equal(got, []string{"elsewhere", "not-spare"}) {
		t.Errorf("corpses %v", got)
	}
}

func TestNoTwoTakeOneSpare(t *testing.T) {
	s := mustOpen(t, stateDir(t, nil))
	for i := range 5 {
		must(t, s.PutCorpse(spare(fmt.Sprintf("s%d", i), i)))
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	given := make(map[string]string)
	for i := range 20 {
		group.Go(func() {
			r := without(fmt.Sprintf("r%d", i))
			taken, found, err := s.TakeSpare(r)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if found {
				if other := given[taken.Identity.Name]; other != "" {
					t.Errorf("%s and %s have %s", other, r.Name, taken.Identity.Name)
				}
				given[taken.Identity.Name] = r.Name
			}
		})
	}
	group.Wait()
	if len(given) != 5 || len(corpseNames(t, s)) > 0 {
		t.Errorf("given %v, left %v", given, corpseNames(t, s))
	}
}

func TestForgetCorpses(t *testing.T) {
	tests := map[string]struct {
		forget    plan.ForgetCorpses
		forgotten []string
		left      []string
	}{
		"one and one that there is not": {plan.ForgetCorpses{Names: []string{"b", "none"}}, []string{"b"}, []string{"a"}},
		"none that there is":            {plan.ForgetCorpses{Names: []string{"none"}}, nil, []string{"a", "b"}},
		"all":                           {plan.ForgetCorpses{All: true}, []string{"a", "b"}, []string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, stateDir(t, nil))
			must(t, s.PutCorpse(spare("a", 1)), s.PutCorpse(spare("b", 2)))
			got, err := s.ForgetCorpses(tt.forget, &plan.AuditEntry{At: now, Action: "corpse.forget", Actor: "alice"})
			if err != nil || !slices.Equal(got, tt.forgotten) {
				t.Errorf("forgotten %v, %v", got, err)
			}
			if left := corpseNames(t, s); !slices.Equal(left, tt.left) {
				t.Errorf("left %v", left)
			}
			if log, err := s.Audit(0, 0); err != nil || len(log) != len(got) || len(log) > 0 && log[0].Runner != got[0] {
				t.Errorf("audit log %v, %v", log, err)
			}
		})
	}
}

func TestCorpseThatCouldNotBeRead(t *testing.T) {
	nameless, timeless, tokenless := spare("", 1), spare("a", 1), spare("b", 1)
	timeless.Since, tokenless.Identity.Token = time.Time{}, ""
	for what, c := range map[string]plan.Corpse{"no name": nameless, "no time": timeless, "spare without a token": tokenless} {
		s := mustOpen(t, stateDir(t, nil))
		if err := s.PutCorpse(c); err == nil {
			t.Errorf("%s: it was written", what)
		}
		if got := corpseNames(t, s); len(got) > 0 {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// A file of this format that knows nothing of corpses has none.
func TestFilesWithoutCorpses(t *testing.T) {
	dir := stateDir(t, nil)
	s := mustOpen(t, dir)
	if got := corpseNames(t, s); len(got) > 0 {
		t.Errorf("corpses %v", got)
	}
	if _, found, err := s.TakeSpare(without("a")); found || err != nil {
		t.Errorf("a spare of none: %v, %v", found, err)
	}
	if got, err := s.ForgetCorpses(plan.ForgetCorpses{All: true}, nil); len(got) > 0 || err != nil {
		t.Errorf("forgotten %v, %v", got, err)
	}
	must(t, s.Put(record("a")), s.Close())
	if r, err := Check(filepath.Join(dir, FileName), dir); err != nil || r.Corpses != 0 || len(r.Faults) > 0 {
		t.Errorf("checked: %+v, %v", r, err)
	}
	if got, err := (&Store{}).Corpses(); len(got) > 0 || err != nil {
		t.Errorf("of state that does not exist: %v, %v", got, err)
	}
}

func TestDamagedCorpseIsAFault(t *testing.T) {
	dir := stateDir(t, nil)
	s := mustOpen(t, dir)
	must(t, s.PutCorpse(spare("a", 1)), s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(corpsesBucket).Put([]byte("b"), []byte("{}")) }))
	if _, err := s.Corpses(); err == nil {
		t.Error("it was read")
	}
	must(t, s.Close())
	r, err := Check(filepath.Join(dir, FileName), dir)
	if err != nil || r.Corpses != 1 || len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Error(), `corpse "b"`) {
		t.Errorf("checked: %+v, %v", r, err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("Open = %v", err)
	}
}
