package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

// The formats of the file. A file with a later one was written by a later
// scaler and is refused. What they hold:
//
//	1  bucket meta: format, instance; bucket runners: a record in JSON under each name
//	2  meta has created_at too, and the instance id is in a file of its own as well
//	3  buckets tokens and enrolments: a token under each ID and an enrolment under each UUID, with
//	   their hashes in base64; bucket audit: an audit entry under each seq (8 bytes, big endian); all in JSON
//	4  bucket arrivals: under each pool's name how its jobs arrive, as plan.Arrivals writes it
//	   bucket corpses, if the server could not delete a runner: under the server's name of it a storedCorpse in JSON
//	   bucket jobs, if events have ever told of jobs: under each job's id (8 bytes, big endian) what plan.Book writes
//	   bucket orders, if anything was ever ordered: under pool/NAME and runner/NAME a plan.Pause in JSON
const (
	firstFormat    = 1
	tokensFormat   = 3 // the first with tokens
	arrivalsFormat = 4 // the first with arrivals
	format         = 4
)

var (
	metaBucket       = []byte("meta")
	runnersBucket    = []byte("runners")
	tokensBucket     = []byte("tokens")
	enrolmentsBucket = []byte("enrolments")
	auditBucket      = []byte("audit")
	arrivalsBucket   = []byte("arrivals")
	formatKey        = []byte("format")     // 8 bytes, big endian
	instanceKey      = []byte("instance")   // text
	createdKey       = []byte("created_at") // RFC 3339, UTC
)

// contents is what a file says of itself.
type contents struct {
	format   uint64 // 0 if it has no content yet
	instance string
	created  time.Time
	// How many can be read.
	tokens, enrolments, audit, corpses int
}

// inspect reads the whole file and reports everything that is wrong with it.
// Of a format later than the latest it reads no more than the number.
func inspect(tx *bbolt.Tx, latest uint64, fault func(error)) contents {
	for err := range tx.Check() {
		fault(err)
	}
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		if other, _ := tx.Cursor().First(); other != nil {
			fault(errors.New("it is a database of something else"))
		}
		return contents{} // new
	}
	version := meta.Get(formatKey)
	if len(version) != 8 {
		fault(errors.New("it has no format version"))
		return contents{}
	}
	c := contents{format: binary.BigEndian.Uint64(version), instance: string(meta.Get(instanceKey))}
	if c.format > latest {
		return c
	}
	if c.format < firstFormat {
		fault(fmt.Errorf("it has the impossible format %d", c.format))
	}
	if c.instance == "" || tx.Bucket(runnersBucket) == nil {
		fault(errors.New("it has no instance id"))
	}
	if c.format > firstFormat {
		created, err := time.Parse(time.RFC3339Nano, string(meta.Get(createdKey)))
		if err != nil {
			fault(errors.New("it has no time of creation"))
		}
		c.created = created
	}
	_ = eachRecord(tx, func(name []byte, r Record, err error) error {
		switch {
		case err != nil:
			fault(fmt.Errorf("decode runner %q: %w", name, err))
		case r.Name != string(name):
			fault(fmt.Errorf("the record of runner %q has the name %q", name, r.Name))
		}
		return nil
	})
	if c.format >= tokensFormat {
		c.inspectTokens(tx, fault)
	}
	_ = each(tx, ordersBucket, decodeOrder, func(_ order, err error) error {
		if err != nil {
			fault(err)
		}
		return nil
	})
	_ = eachCorpse(tx, func(_ plan.Corpse, err error) error { return tallier(fault)(&c.corpses, err) })
	// What is in it can be learned anew, so it is no fault if that is damaged.
	if c.format >= arrivalsFormat && tx.Bucket(arrivalsBucket) == nil {
		fault(fmt.Errorf("it has no %s", arrivalsBucket))
	}
	return c
}

// tallier counts what can be read and reports what cannot.
func tallier(fault func(error)) func(n *int, err error) error {
	return func(n *int, err error) error {
		if err != nil {
			fault(err)
			return nil
		}
		*n++
		return nil
	}
}

// inspectTokens reads and counts what the gateway keeps.
func (c *contents) inspectTokens(tx *bbolt.Tx, fault func(error)) {
	for _, name := range [][]byte{tokensBucket, enrolmentsBucket, auditBucket} {
		if tx.Bucket(name) == nil {
			fault(fmt.Errorf("it has no %s", name))
		}
	}
	tally := tallier(fault)
	_ = eachToken(tx, func(_ TokenRecord, err error) error { return tally(&c.tokens, err) })
	_ = eachEnrolment(tx, func(_ EnrolmentRecord, err error) error { return tally(&c.enrolments, err) })
	_ = eachAudit(tx, func(_ plan.AuditEntry, err error) error { return tally(&c.audit, err) })
}
