package state

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

// keptAudit is how many entries the audit log keeps, the newest.
const keptAudit = 10_000

// Audit returns entries of the audit log whose Seq is greater than after,
// oldest first and no more than limit. All of them if limit is 0 or less.
// With after 0, a limit means the last ones.
func (s *Store) Audit(after uint64, limit int) ([]plan.AuditEntry, error) {
	if s.db == nil {
		return nil, nil
	}
	var found []plan.AuditEntry
	err := s.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(auditBucket)
		if bucket == nil {
			return nil // the file is too old for it
		}
		if last := lastSeq(bucket); after == 0 && limit > 0 {
			after = last - min(last, uint64(limit))
		}
		c := bucket.Cursor()
		for key, data := c.Seek(seqKey(after)); key != nil && (limit <= 0 || len(found) < limit); key, data = c.Next() {
			e, err := decodeAudit(key, data)
			if err != nil {
				return err
			}
			if e.Seq > after {
				found = append(found, e)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read audit log from %s: %w", s.path, err)
	}
	return found, nil
}

// appendAudit adds entries, and removes the oldest beyond those that are kept.
func appendAudit(bucket *bbolt.Bucket, entries []plan.AuditEntry) error {
	last := lastSeq(bucket)
	bucket.FillPercent = 1 // keys only grow
	for _, e := range entries {
		last++
		e.Seq = last
		if err := put(bucket, seqKey(last), e, decodeAudit); err != nil {
			return err
		}
	}
	c := bucket.Cursor()
	for key, _ := c.First(); key != nil && last-binary.BigEndian.Uint64(key) >= keptAudit; key, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// seqKey is the key of an audit entry: 8 bytes, big endian, so that keys sort
// by Seq.
func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// lastSeq returns the Seq of the newest entry, 0 if there is none.
func lastSeq(bucket *bbolt.Bucket) uint64 {
	key, _ := bucket.Cursor().Last()
	if key == nil {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

func decodeAudit(key, data []byte) (plan.AuditEntry, error) {
	var e plan.AuditEntry
	err := json.Unmarshal(data, &e)
	switch {
	case err != nil:
	case string(key) != string(seqKey(e.Seq)):
		err = fmt.Errorf("it says that it is %d", e.Seq)
	case e.At.IsZero():
		err = errors.New("it has no time")
	}
	if err != nil {
		return plan.AuditEntry{}, fmt.Errorf("audit entry %x: %w", key, err)
	}
	return e, nil
}

func eachAudit(tx *bbolt.Tx, fn func(e plan.AuditEntry, err error) error) error {
	return each(tx, auditBucket, decodeAudit, fn)
}
