package state

import (
	"encoding/binary"

	"go.etcd.io/bbolt"
)

func setFormat(s *Store, v uint64) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(formatKey, binary.BigEndian.AppendUint64(nil, v))
	})
}
