package gitea

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"scaler.io/scaler/internal/plan"
)

const (
	tokenAdvice = "the API token is missing, wrong or expired; check gitea.api_token"
	urlAdvice   = "is gitea.url right, and does nothing in front of Gitea answer in its place?"
)

// StatusError is an answer of 400 or above.
type StatusError struct {
	Status     int
	Message    string // what the server says, if it says it in Gitea's way
	RetryAfter string // the header, verbatim
	fromGitea  bool   // the body is the JSON of Gitea's API
}

// HTTPStatus returns the status of the answer.
func (e *StatusError) HTTPStatus() int { return e.Status }

// Error implements error.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("HTTP %d", e.Status)
	if text := http.StatusText(e.Status); text != "" {
		s += " " + text
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.RetryAfter != "" {
		s += " (retry after " + excerpt(e.RetryAfter) + ")"
	}
	return s
}

// newStatusError reads an answer of 400 or above.
func newStatusError(a answer) *StatusError {
	e := &StatusError{Status: a.status, RetryAfter: a.retryAfter}
	var body struct {
		Message *string  `json:"message"`
		Errors  []string `json:"errors"`
	}
	if json.Unmarshal(a.body, &body) == nil && body.Message != nil {
		e.fromGitea = true
		e.Message = excerpt(strings.Join(append([]string{*body.Message}, body.Errors...), "; "))
	}
	return e
}

// excerpt makes a foreign text fit to be part of an error: one line, not long,
// nothing unprintable.
func excerpt(s string) string {
	const most = 200
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// fail turns what an operation ended with into an error that says what was
// done, to what, and what is missing.
func (c *Client) fail(ctx context.Context, call *call, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", call.what, c.explain(ctx, call, err))
}

func (c *Client) explain(ctx context.Context, call *call, err error) error {
	a := call.answer
	switch {
	case a.status == 0 || errors.Is(err, errRedirect):
		return err // nothing came back, or the operation was refused here
	case a.status >= 400 && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		// The wait for the next attempt was cut short.
		return fmt.Errorf("%w (the last answer was %w)", err, newStatusError(a))
	case a.status < 400:
		return explainMalformed(a, err)
	}
	status := newStatusError(a)
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return explainDenied(call, status)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return c.explainMissing(ctx, call, status)
	}
	return status
}

// explainDenied says what the API token lacks.
func explainDenied(call *call, status *StatusError) error {
	switch {
	case !status.fromGitea:
		return fmt.Errorf("%w by something that is not Gitea: %s (%w)", plan.ErrDenied, urlAdvice, status)
	case status.Status == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s (%w)", plan.ErrDenied, tokenAdvice, status)
	case call.access.level == "":
		return fmt.Errorf("%w: %w", plan.ErrDenied, status)
	}
	return fmt.Errorf("%w: the API token needs %s (%w)", plan.ErrDenied, call.access.needs(call.scope), status)
}

// explainMalformed is for an answer that promised success and is not one of
// Gitea's API.
func explainMalformed(a answer, err error) error {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch mediaType, _, _ := mime.ParseMediaType(a.contentType); {
	case mediaType != "application/json":
		return fmt.Errorf("HTTP %d with %q in place of JSON: %s", a.status, mediaType, urlAdvice)
	case errors.As(err, &syntax):
		return fmt.Errorf("HTTP %d with broken JSON of %d bytes: %w", a.status, len(a.body), err)
	case errors.As(err, &kind):
		return fmt.Errorf("HTTP %d with JSON that is not Gitea's: %w", a.status, err)
	}
	return err
}

// explainMissing tells the meanings of "not found" apart. Gitea says in JSON
// that an object does not exist, and in plain text that it has no such
// function; a proxy that does not know the address says the latter too, so
// the version is asked for.
func (c *Client) explainMissing(ctx context.Context, call *call, status *StatusError) error {
	owner := missingOwner(call.scope)
	switch {
	case !status.fromGitea:
	case strings.Contains(status.Message, "No permission"):
		return fmt.Errorf("%w: it belongs to another scope, that of the registration token it was made with (%w)", plan.ErrDenied, status)
	case call.runner && (owner == "" || strings.HasPrefix(status.Message, "Runner not found") || strings.HasPrefix(status.Message, "runner with ID")):
		return fmt.Errorf("%w (%w)", plan.ErrNotFound, status)
	case call.runner:
		return fmt.Errorf("%w: it is gone, or %s (%w)", plan.ErrNotFound, owner, status)
	case owner != "":
		return fmt.Errorf("%w: %s (%w)", plan.ErrNotFound, owner, status)
	}
	version, err := c.version(ctx)
	if err != nil {
		return fmt.Errorf("%w; %w", status, err)
	}
	c.found.shows(call.needs, false)
	return fmt.Errorf("%w: %s (HTTP %d)", plan.ErrUnsupported, needed(call.needs, capabilitiesOf(version)), status.Status)
}

// missingOwner says what may be missing when Gitea does not find what a scope
// names; it does not tell the two cases apart.
func missingOwner(s plan.Scope) string {
	switch s.Kind {
	case plan.ScopeOrg:
		return fmt.Sprintf("there is no organization %s, or the API token's user cannot see it", s.Owner)
	case plan.ScopeRepo:
		return fmt.Sprintf("there is no repository %s/%s, or the API token's user cannot see it", s.Owner, s.Repo)
	}
	return ""
}
