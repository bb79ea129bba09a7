package state

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
)

// PutArrivals writes how the jobs of some pools arrive, by the pools' names, and
// returns once that is on disk. Nil removes what is known of a pool. Errors are
// as those of Put.
func (s *Store) PutArrivals(pools map[string][]byte) error {
	err := s.write(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(arrivalsBucket)
		for name, data := range pools {
			var err error
			if data == nil {
				err = bucket.Delete([]byte(name))
			} else {
				err = bucket.Put([]byte(name), data)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store arrivals of %d pools in %s: %w", len(pools), s.path, explain(err))
	}
	return nil
}

// Arrivals returns what PutArrivals has written, by the pools' names. Whether it
// can be read is for the caller to find out: it can be learned anew.
func (s *Store) Arrivals() (map[string][]byte, error) {
	pools := make(map[string][]byte)
	if s.db == nil {
		return pools, nil
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(arrivalsBucket)
		if bucket == nil {
			return nil // of an earlier format
		}
		return bucket.ForEach(func(name, data []byte) error {
			pools[string(name)] = bytes.Clone(data)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read arrivals from %s: %w", s.path, explain(err))
	}
	return pools, nil
}
