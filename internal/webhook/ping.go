package webhook

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// What Ping ends with when something answers.
var (
	// ErrSignature: the receiver has another secret.
	ErrSignature = errors.New("the signature is refused")
	// ErrNoReceiver: what answers is no receiver.
	ErrNoReceiver = errors.New("what answers is no webhook of scaler")
)

// StatusError is an answer other than 200 and 401.
type StatusError struct {
	Status   int
	Location string // of a redirect
}

// Error implements error.
func (e *StatusError) Error() string {
	s := strings.TrimSpace(fmt.Sprintf("HTTP %d %s", e.Status, http.StatusText(e.Status)))
	if e.Location != "" {
		s += " to " + e.Location
	}
	return s
}

// Ping sends a signed test event to the receiver at a URL, which takes it for
// no job's, and returns what the receiver has counted. Redirects are not
// followed. Errors: ErrSignature, ErrNoReceiver, *StatusError, and those of the
// client.
func Ping(ctx context.Context, client *http.Client, url string, secret plan.Secret) (Stats, error) {
	body := []byte(`{"action": "ping"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Stats{}, fmt.Errorf("ping webhook: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(headerEvent, eventPing)
	req.Header.Set(headerSignature, hex.EncodeToString(sign(secret, body)))
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := direct.Do(req)
	if err != nil {
		return Stats{}, fmt.Errorf("ping webhook: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return Stats{}, fmt.Errorf("ping webhook: %w", ErrSignature)
	default:
		return Stats{}, fmt.Errorf("ping webhook: %w", &StatusError{resp.StatusCode, resp.Header.Get("Location")})
	}
	var s Stats
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&s); err != nil || s.Since.IsZero() {
		return Stats{}, fmt.Errorf("ping webhook: %w", ErrNoReceiver)
	}
	return s, nil
}
