package state

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

// TokenRecord is a token as it is stored: only a hash of its secret.
type TokenRecord struct {
	plan.Token
	Hash [32]byte // SHA-256 of the secret's text
}

// EnrolmentRecord is an enrolment as it is stored: only a hash of the runner's
// own token.
type EnrolmentRecord struct {
	plan.Enrolment
	Hash [32]byte // SHA-256 of the token's text
}

// TokenChanges are changes that belong together.
type TokenChanges struct {
	PutTokens        []TokenRecord
	DeleteTokens     []string // IDs
	PutEnrolments    []EnrolmentRecord
	DeleteEnrolments []string // UUIDs
	Audit            []plan.AuditEntry
}

// Commit writes all changes in one transaction, deletions first, and returns
// once they are on disk. Audit entries get the next Seq each, whatever theirs
// is, and the oldest make room for them. What does not exist is deleted
// without an error. On any error nothing has changed, and the store can be
// used further: plan.ErrConflict if two tokens would have the same name,
// plan.ErrInvalid for what could not be read again, such as a token without an
// ID or a name or an entry without a time, and otherwise those of Put.
func (s *Store) Commit(c TokenChanges) error {
	if len(c.PutTokens)+len(c.DeleteTokens)+len(c.PutEnrolments)+len(c.DeleteEnrolments)+len(c.Audit) == 0 {
		return nil
	}
	if err := s.write(c.apply); err != nil {
		return fmt.Errorf("store tokens in %s: %w", s.path, explain(err))
	}
	return nil
}

// Tokens returns all tokens in the order of their names.
func (s *Store) Tokens() ([]TokenRecord, error) {
	all, err := list(s, eachToken)
	if err != nil {
		return nil, fmt.Errorf("read tokens from %s: %w", s.path, err)
	}
	slices.SortFunc(all, func(a, b TokenRecord) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// Enrolments returns all enrolments in the order of their registration.
func (s *Store) Enrolments() ([]EnrolmentRecord, error) {
	all, err := list(s, eachEnrolment)
	if err != nil {
		return nil, fmt.Errorf("read enrolments from %s: %w", s.path, err)
	}
	slices.SortFunc(all, func(a, b EnrolmentRecord) int {
		return cmp.Or(a.RegisteredAt.Compare(b.RegisteredAt), cmp.Compare(a.UUID, b.UUID))
	})
	return all, nil
}

// apply makes the changes in a transaction that an error undoes.
func (c TokenChanges) apply(tx *bbolt.Tx) error {
	tokens, enrolments := tx.Bucket(tokensBucket), tx.Bucket(enrolmentsBucket)
	renamed := false
	for _, r := range c.PutTokens {
		old, err := decodeToken([]byte(r.ID), tokens.Get([]byte(r.ID)))
		renamed = renamed || err != nil || old.Name != r.Name
	}
	var errs []error
	for _, id := range c.DeleteTokens {
		errs = append(errs, tokens.Delete([]byte(id)))
	}
	for _, uuid := range c.DeleteEnrolments {
		errs = append(errs, enrolments.Delete([]byte(uuid)))
	}
	for _, r := range c.PutTokens {
		errs = append(errs, put(tokens, []byte(r.ID), storedToken{r.Token, r.Hash[:]}, decodeToken))
	}
	for _, r := range c.PutEnrolments {
		errs = append(errs, put(enrolments, []byte(r.UUID), storedEnrolment{r.Enrolment, r.Hash[:]}, decodeEnrolment))
	}
	if err := errors.Join(append(errs, appendAudit(tx.Bucket(auditBucket), c.Audit))...); err != nil || !renamed {
		return err
	}
	return eachToken(tx, func(_ TokenRecord, err error) error { return err }) // is each name there once?
}

// storedToken is a TokenRecord as it lies on disk.
type storedToken struct {
	plan.Token
	Hash []byte `json:"hash"`
}

// storedEnrolment is an EnrolmentRecord as it lies on disk.
type storedEnrolment struct {
	plan.Enrolment
	Hash []byte `json:"hash"`
}

func decodeToken(id, data []byte) (TokenRecord, error) {
	var s storedToken
	err := json.Unmarshal(data, &s)
	if err == nil {
		err = checkStored(id, s.ID, s.Name, s.Hash)
	}
	if err != nil {
		return TokenRecord{}, fmt.Errorf("token %q: %w", id, err)
	}
	return TokenRecord{s.Token, [32]byte(s.Hash)}, nil
}

func decodeEnrolment(uuid, data []byte) (EnrolmentRecord, error) {
	var s storedEnrolment
	err := json.Unmarshal(data, &s)
	if err == nil {
		err = checkStored(uuid, s.UUID, s.Name, s.Hash)
	}
	if err != nil {
		return EnrolmentRecord{}, fmt.Errorf("enrolment %q: %w", uuid, err)
	}
	return EnrolmentRecord{s.Enrolment, [32]byte(s.Hash)}, nil
}

// checkStored says what is wrong with a token or an enrolment that lies under
// a key.
func checkStored(key []byte, id, name string, hash []byte) error {
	switch {
	case id == "":
		return errors.New("it has no ID")
	case id != string(key):
		return fmt.Errorf("it says that it is %q", id)
	case name == "":
		return errors.New("it has no name")
	case len(hash) != len(TokenRecord{}.Hash):
		return fmt.Errorf("its hash has %d bytes", len(hash))
	}
	return nil
}

// eachToken is each for the tokens. A name that another token has as well is
// an error too.
func eachToken(tx *bbolt.Tx, fn func(r TokenRecord, err error) error) error {
	owner := make(map[string]string)
	return each(tx, tokensBucket, decodeToken, func(r TokenRecord, err error) error {
		if err != nil {
			return fn(r, err)
		}
		if other, taken := owner[r.Name]; taken {
			return fn(r, fmt.Errorf("%w: tokens %q and %q have the same name %q", plan.ErrConflict, other, r.ID, r.Name))
		}
		owner[r.Name] = r.ID
		return fn(r, nil)
	})
}

func eachEnrolment(tx *bbolt.Tx, fn func(r EnrolmentRecord, err error) error) error {
	return each(tx, enrolmentsBucket, decodeEnrolment, fn)
}

// each calls fn for each value of a bucket, or with the error for one that
// cannot be decoded. It ends with the error of fn. Buckets that the file is
// too old for are empty.
func each[T any](tx *bbolt.Tx, bucket []byte, decode func(key, data []byte) (T, error), fn func(v T, err error) error) error {
	b := tx.Bucket(bucket)
	if b == nil {
		return nil
	}
	return b.ForEach(func(key, data []byte) error { return fn(decode(key, data)) })
}

// list returns all values of a kind.
func list[T any](s *Store, each func(*bbolt.Tx, func(T, error) error) error) (all []T, err error) {
	if s.db == nil {
		return nil, nil
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		return each(tx, func(v T, err error) error {
			all = append(all, v)
			return err
		})
	})
	return all, err
}

// put writes a value, if it can be read again. What cannot would count as
// damage of the whole file at the next start.
func put[T any](bucket *bbolt.Bucket, key []byte, v any, decode func(key, data []byte) (T, error)) error {
	data, err := json.Marshal(v)
	if err == nil {
		_, err = decode(key, data)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", plan.ErrInvalid, err)
	}
	return bucket.Put(key, data)
}
