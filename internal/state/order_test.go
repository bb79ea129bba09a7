package state

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

func TestOrders(t *testing.T) {
	dir := stateDir(t, nil)
	s := mustOpen(t, dir)
	drained := plan.Pause{Since: now, By: "alice", Reason: "new disks", Drain: true}
	paused := plan.Pause{Since: now, By: "bob"}
	must(t, s.PutOrders(Orders{
		Pools:   map[string]*plan.Pause{"linux": &drained, "a/b": &paused},
		Runners: map[string]*plan.Pause{"a": &drained, "gone": &paused},
		Audit:   []plan.AuditEntry{{At: now, Action: "pool.drain", Actor: "alice", Pool: "linux"}},
	}), s.Put(record("a")))
	must(t, s.PutOrders(Orders{Pools: map[string]*plan.Pause{"a/b": nil, "never": nil}, Audit: []plan.AuditEntry{{At: now, Action: "pool.resume", Actor: "bob", Pool: "a/b"}}}))
	must(t, s.Delete("gone", 0), s.Close())

	s = mustOpen(t, dir)
	pools, runners, err := s.Orders()
	must(t, err)
	if want := map[string]plan.Pause{"linux": drained}; !reflect.DeepEqual(pools, want) {
		t.Errorf("pools %+v, want %+v", pools, want)
	}
	if want := map[string]plan.Pause{"a": drained}; !reflect.DeepEqual(runners, want) {
		t.Errorf("runners %+v, want %+v", runners, want)
	}
	log, err := s.Audit(0, 0)
	if err != nil || len(log) != 2 || log[0].Pool != "linux" || log[1].Action != "pool.resume" {
		t.Errorf("audit log %+v, %v", log, err)
	}
}

// All of an order is written or nothing of it.
func TestOrderThatIsNone(t *testing.T) {
	s := mustOpen(t, stateDir(t, nil))
	err := s.PutOrders(Orders{Pools: map[string]*plan.Pause{"linux": {Since: now, By: "alice"}, "gpu": {By: "alice"}}, Audit: []plan.AuditEntry{{At: now, Action: "pool.pause"}}})
	if !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("PutOrders = %v", err)
	}
	pools, runners, err := s.Orders()
	log, logErr := s.Audit(0, 0)
	if err != nil || logErr != nil || len(pools)+len(runners)+len(log) > 0 {
		t.Errorf("orders %v, %v, audit log %v", pools, runners, log)
	}
}

// A file of this format that knows nothing of orders has none, and one that has
// them is good for a scaler that knows nothing of them: the format is the same.
func TestFilesWithoutOrders(t *testing.T) {
	dir := stateDir(t, nil)
	s := mustOpen(t, dir)
	must(t, s.db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(ordersBucket) != nil {
			t.Error("a new file has orders")
		}
		return nil
	}))
	must(t, s.Put(record("a")), s.Delete("a", 0))
	pools, runners, err := s.Orders()
	if err != nil || len(pools)+len(runners) > 0 {
		t.Errorf("orders %v, %v, %v", pools, runners, err)
	}
	if pools, _, err := (&Store{}).Orders(); err != nil || len(pools) > 0 {
		t.Errorf("orders of state that is not there: %v, %v", pools, err)
	}
}

func TestBrokenOrdersAreFound(t *testing.T) {
	dir := stateDir(t, nil)
	s := mustOpen(t, dir)
	must(t, s.PutOrders(Orders{Pools: map[string]*plan.Pause{"linux": {Since: now, By: "alice"}}}))
	must(t, s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(ordersBucket)
		return errors.Join(b.Put([]byte("pool/x"), []byte("{")), b.Put([]byte("pool/y"), []byte("{}")), b.Put([]byte("robot/z"), []byte(`{"since":"2026-03-01T12:00:00Z"}`)))
	}), s.Close())
	r, err := Check(filepath.Join(dir, FileName), "")
	must(t, err)
	want := []string{`order "pool/x"`, `order "pool/y": it has no time`, `order "robot/z": it is of neither a pool nor a runner`}
	if len(r.Faults) != len(want) {
		t.Fatalf("faults %v", r.Faults)
	}
	for i, w := range want {
		if !strings.Contains(r.Faults[i].Error(), w) {
			t.Errorf("fault %v, want %q", r.Faults[i], w)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
		t.Error(err)
	}
}
