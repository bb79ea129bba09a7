package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

// corpsesBucket has the runners that the server cannot be told to delete: a
// storedCorpse in JSON under the name that the server has for each. It is made
// with the first one, so that files of this format may lack it. An identity is
// with a record or in here, and never with both: Put, Keep and TakeSpare each
// move it in one transaction.
var corpsesBucket = []byte("corpses")

// storedCorpse is a plan.Corpse as it lies on disk, with its own token in clear
// for the same reason as that of a record.
type storedCorpse struct {
	Identity storedIdentity `json:"identity"`
	Scope    string         `json:"scope"`
	Since    time.Time      `json:"since"`
	Why      string         `json:"why"`
	Spare    bool           `json:"spare,omitempty"`
}

// Corpses returns all corpses, those that have been that for longest first.
func (s *Store) Corpses() ([]plan.Corpse, error) {
	all, err := list(s, eachCorpse)
	if err != nil {
		return nil, fmt.Errorf("read corpses from %s: %w", s.path, err)
	}
	plan.SortCorpses(all)
	return all, nil
}

// PutCorpse writes a corpse, in place of one of the same name, and returns once
// it is on disk. It does nothing if a record has the identity. Errors are as
// those of Put, and plan.ErrInvalid for what could not be read again.
func (s *Store) PutCorpse(c plan.Corpse) error {
	if err := s.write(func(tx *bbolt.Tx) error { return putCorpse(tx, c) }); err != nil {
		return fmt.Errorf("store corpse %s in %s: %w", c.Identity.Name, s.path, explain(err))
	}
	return nil
}

// Keep is Delete for a runner whose identity the server cannot be told to
// delete: it becomes a corpse in the same transaction. If another record has the
// identity too, as after an older copy of the state was put back, it stays with
// that one alone.
func (s *Store) Keep(name string, c plan.Corpse, patience time.Duration) error {
	err := s.writeInCompany(patience, func(tx *bbolt.Tx) error {
		return errors.Join(tx.Bucket(runnersBucket).Delete([]byte(name)), forgetOrder(tx, name), putCorpse(tx, c))
	})
	if err != nil {
		return fmt.Errorf("keep identity %s of runner %s in %s: %w", c.Identity.Name, name, s.path, explain(err))
	}
	return nil
}

// TakeSpare gives a record, which has no identity, the spare one of its scope
// that has not been used for longest, and returns it as it is on disk then. It
// reports false, and writes nothing, if there is none. Errors are as those of
// Put.
func (s *Store) TakeSpare(r Record) (taken Record, found bool, err error) {
	err = s.write(func(tx *bbolt.Tx) error {
		taken, found = r, false
		var spares []plan.Corpse
		err := eachCorpse(tx, func(c plan.Corpse, err error) error {
			if err == nil && c.Spare && c.Scope == r.Scope {
				spares = append(spares, c)
			}
			return err
		})
		if err != nil || len(spares) == 0 {
			return err
		}
		plan.SortCorpses(spares)
		taken.Identity, found = &spares[0].Identity, true
		data, err := taken.encode()
		if err != nil {
			return err
		}
		return putRecord(tx, taken, data)
	})
	if err != nil {
		return r, false, fmt.Errorf("give runner %s a spare identity in %s: %w", r.Name, s.path, explain(err))
	}
	return taken, found, nil
}

// WithdrawSpare has an identity not be taken any more, as it is about to be
// deleted, and returns once that is on disk. It reports false, and writes
// nothing, if it is no corpse. Errors are as those of Put.
func (s *Store) WithdrawSpare(name string) (withdrawn bool, err error) {
	err = s.write(func(tx *bbolt.Tx) error {
		withdrawn = false
		bucket := tx.Bucket(corpsesBucket)
		if bucket == nil {
			return nil
		}
		data := bucket.Get([]byte(name))
		if data == nil {
			return nil
		}
		c, err := decodeCorpse([]byte(name), data)
		if err != nil {
			return err
		}
		withdrawn, c.Spare = true, false
		return putCorpse(tx, c)
	})
	if err != nil {
		return false, fmt.Errorf("withdraw spare identity %s in %s: %w", name, s.path, explain(err))
	}
	return withdrawn, nil
}

// ForgetCorpses removes corpses by their names, all that there are if all is
// set, and returns the names of those that were there, once that is on disk. The
// audit entry is written for each of them, with its name; nil is none. Errors are
// as those of Put.
func (s *Store) ForgetCorpses(f plan.ForgetCorpses, audit *plan.AuditEntry) (forgotten []string, err error) {
	err = s.write(func(tx *bbolt.Tx) error {
		forgotten = nil
		err := eachCorpse(tx, func(c plan.Corpse, err error) error {
			if err == nil && (f.All || slices.Contains(f.Names, c.Identity.Name)) {
				forgotten = append(forgotten, c.Identity.Name)
			}
			return err
		})
		if err != nil || len(forgotten) == 0 {
			return err
		}
		var entries []plan.AuditEntry
		for _, name := range forgotten {
			if err := tx.Bucket(corpsesBucket).Delete([]byte(name)); err != nil {
				return err
			}
			if audit != nil {
				e := *audit
				e.Runner = name
				entries = append(entries, e)
			}
		}
		return appendAudit(tx.Bucket(auditBucket), entries)
	})
	if err != nil {
		return nil, fmt.Errorf("forget corpses in %s: %w", s.path, explain(err))
	}
	return forgotten, nil
}

// putRecord writes a record, and takes its identity from the corpses.
func putRecord(tx *bbolt.Tx, r Record, data []byte) error {
	if b := tx.Bucket(corpsesBucket); b != nil && r.Identity != nil {
		if err := b.Delete([]byte(r.Identity.Name)); err != nil {
			return err
		}
	}
	return tx.Bucket(runnersBucket).Put([]byte(r.Name), data)
}

// putCorpse writes a corpse, unless a record has its identity.
func putCorpse(tx *bbolt.Tx, c plan.Corpse) error {
	if used, err := identityInUse(tx, c.Identity.Name); used || err != nil {
		return err
	}
	bucket, err := tx.CreateBucketIfNotExists(corpsesBucket)
	if err != nil {
		return err
	}
	id := c.Identity
	return put(bucket, []byte(id.Name), storedCorpse{
		Identity: storedIdentity{ID: id.ID, UUID: id.UUID, Name: id.Name, Token: id.Token.Reveal(), Address: id.Address, Labels: id.Labels, Ephemeral: id.Ephemeral},
		Scope:    c.Scope.String(), Since: c.Since, Why: c.Why, Spare: c.Spare,
	}, decodeCorpse)
}

// identityInUse reports whether a record has the identity of the name. Only the
// records in which the name stands somewhere are decoded.
func identityInUse(tx *bbolt.Tx, name string) (used bool, err error) {
	quoted, err := json.Marshal(name)
	if err != nil {
		return false, err
	}
	err = tx.Bucket(runnersBucket).ForEach(func(_, data []byte) error {
		if used || !bytes.Contains(data, quoted) {
			return nil
		}
		r, err := decode(data)
		used = err == nil && r.Identity != nil && r.Identity.Name == name
		return err
	})
	return used, err
}

func eachCorpse(tx *bbolt.Tx, fn func(c plan.Corpse, err error) error) error {
	return each(tx, corpsesBucket, decodeCorpse, fn)
}

func decodeCorpse(name, data []byte) (plan.Corpse, error) {
	var s storedCorpse
	err := json.Unmarshal(data, &s)
	var scope plan.Scope
	if err == nil {
		scope, err = plan.ParseScope(s.Scope)
	}
	id := s.Identity
	switch {
	case err != nil:
	case id.Name == "" || id.Name != string(name):
		err = fmt.Errorf("it says that it is %q", id.Name)
	case s.Since.IsZero():
		err = errors.New("it has no time")
	case s.Spare && (id.ID == 0 || id.UUID == "" || id.Token == ""):
		err = errors.New("it cannot be used again: it lacks an id, a UUID or a token")
	}
	if err != nil {
		return plan.Corpse{}, fmt.Errorf("corpse %q: %w", name, err)
	}
	return plan.Corpse{
		Identity: plan.Identity{ID: id.ID, UUID: id.UUID, Name: id.Name, Token: plan.Secret(id.Token), Address: id.Address, Labels: id.Labels, Ephemeral: id.Ephemeral},
		Scope:    scope, Since: s.Since, Why: s.Why, Spare: s.Spare,
	}, nil
}
