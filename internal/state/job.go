package state

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// jobsBucket has, under each job's id (8 bytes, big endian), what events have told
// of it. It is made when that is first written.
var jobsBucket = []byte("jobs")

// PutJobs writes what is known of some jobs from events, by their ids, and returns
// once that is on disk. Nil removes what is known of a job. Errors are as those of
// Put.
func (s *Store) PutJobs(jobs map[int64][]byte) error {
	err := s.write(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(jobsBucket)
		if err != nil {
			return err
		}
		for id, data := range jobs {
			key := binary.BigEndian.AppendUint64(nil, uint64(id))
			if data == nil {
				err = bucket.Delete(key)
			} else {
				err = bucket.Put(key, data)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store %d jobs in %s: %w", len(jobs), s.path, explain(err))
	}
	return nil
}

// Jobs returns what PutJobs has written, by the jobs' ids. Whether it can be read is
// for the caller to find out.
func (s *Store) Jobs() (map[int64][]byte, error) {
	jobs := make(map[int64][]byte)
	if s.db == nil {
		return jobs, nil
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(jobsBucket)
		if bucket == nil {
			return nil
		}
		return bucket.ForEach(func(key, data []byte) error {
			if len(key) == 8 {
				jobs[int64(binary.BigEndian.Uint64(key))] = bytes.Clone(data)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read jobs from %s: %w", s.path, explain(err))
	}
	return jobs, nil
}
