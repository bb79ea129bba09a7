package state

import (
	"encoding/json"
	"fmt"
)

// MarshalJSON returns everything that is stored of the runner except its own
// token, so that a record can be shown.
func (r Record) MarshalJSON() ([]byte, error) {
	data, err := r.encode()
	if err != nil {
		return nil, err
	}
	var shown struct {
		stored
		Identity *identityWithoutToken `json:"identity,omitempty"` // hides the one in stored
	}
	if err := json.Unmarshal(data, &shown); err != nil {
		return nil, fmt.Errorf("encode runner %s: %w", r.Name, err)
	}
	return json.Marshal(shown)
}

// MarshalJSON returns the token without its hash, so that it can be shown.
func (r TokenRecord) MarshalJSON() ([]byte, error) { return json.Marshal(r.Token) }

// MarshalJSON returns the enrolment without its hash, so that it can be shown.
func (r EnrolmentRecord) MarshalJSON() ([]byte, error) { return json.Marshal(r.Enrolment) }

// identityWithoutToken is a storedIdentity that may be shown.
type identityWithoutToken struct {
	ID        int64    `json:"id"`
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	Address   string   `json:"address"`
	Labels    []string `json:"labels"`
	Ephemeral bool     `json:"ephemeral"`
}
