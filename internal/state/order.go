package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

// ordersBucket has what people have ordered: a plan.Pause in JSON under each key
// of a pool or a runner. It is made with the first order, so that files of this
// format may lack it: a scaler that knows nothing of orders can still use them,
// and takes no notice of what was ordered.
var ordersBucket = []byte("orders")

// The keys of orders are one of these and a name.
const (
	poolOrder   = "pool/"
	runnerOrder = "runner/"
)

// Orders are changes of what people have ordered, and the audit entries that say
// who did.
type Orders struct {
	Pools   map[string]*plan.Pause // nil ends what was ordered of a pool
	Runners map[string]*plan.Pause // likewise
	Audit   []plan.AuditEntry
}

// PutOrders writes all of the changes or none, and returns once they are on
// disk. Errors are as those of Put.
func (s *Store) PutOrders(o Orders) error {
	if err := s.write(o.apply); err != nil {
		return fmt.Errorf("store orders in %s: %w", s.path, explain(err))
	}
	return nil
}

// Orders returns what is ordered of pools and of runners, by their names.
func (s *Store) Orders() (pools, runners map[string]plan.Pause, err error) {
	pools, runners = make(map[string]plan.Pause), make(map[string]plan.Pause)
	if s.db == nil {
		return pools, runners, nil
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		return each(tx, ordersBucket, decodeOrder, func(o order, err error) error {
			switch {
			case err != nil:
			case o.ofPool:
				pools[o.name] = o.pause
			default:
				runners[o.name] = o.pause
			}
			return err
		})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read orders from %s: %w", s.path, err)
	}
	return pools, runners, nil
}

// apply makes the changes in a transaction that an error undoes.
func (o Orders) apply(tx *bbolt.Tx) error {
	bucket, err := tx.CreateBucketIfNotExists(ordersBucket)
	if err != nil {
		return err
	}
	errs := []error{appendAudit(tx.Bucket(auditBucket), o.Audit)}
	for name, p := range o.Pools {
		errs = append(errs, putOrder(bucket, poolOrder+name, p))
	}
	for name, p := range o.Runners {
		errs = append(errs, putOrder(bucket, runnerOrder+name, p))
	}
	return errors.Join(errs...)
}

func putOrder(bucket *bbolt.Bucket, key string, p *plan.Pause) error {
	if p == nil {
		return bucket.Delete([]byte(key))
	}
	return put(bucket, []byte(key), p, decodeOrder)
}

// forgetOrder removes what is ordered of a runner.
func forgetOrder(tx *bbolt.Tx, runner string) error {
	bucket := tx.Bucket(ordersBucket)
	if bucket == nil {
		return nil
	}
	return bucket.Delete([]byte(runnerOrder + runner))
}

// order is one that was read.
type order struct {
	ofPool bool
	name   string
	pause  plan.Pause
}

func decodeOrder(key, data []byte) (order, error) {
	var o order
	kind, name, _ := strings.Cut(string(key), "/")
	o.ofPool, o.name = kind+"/" == poolOrder, name
	err := json.Unmarshal(data, &o.pause)
	switch {
	case err != nil:
	case name == "" || !o.ofPool && kind+"/" != runnerOrder:
		err = errors.New("it is of neither a pool nor a runner")
	case o.pause.Since.IsZero():
		err = errors.New("it has no time")
	}
	if err != nil {
		return order{}, fmt.Errorf("order %q: %w", key, err)
	}
	return o, nil
}
