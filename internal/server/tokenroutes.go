package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"scaler.io/scaler/internal/plan"
)

// tokenKeeper keeps the registration tokens that the gateway gives out. Its
// methods may be called concurrently; actor says for the audit log who asks.
// Their errors wrap plan.ErrInvalid, plan.ErrNotFound or plan.ErrConflict where
// the request is at fault.
type tokenKeeper interface {
	Create(ctx context.Context, actor string, spec plan.TokenSpec) (plan.NewToken, error)
	// Tokens returns all tokens, by name.
	Tokens() []plan.Token
	// Token returns a token and the runners that came by it, also those that
	// are gone.
	Token(name string) (plan.Token, []plan.Enrolment, error)
	Change(ctx context.Context, actor, name string, change plan.TokenChange) (plan.Token, error)
	// Reset gives a token a new secret.
	Reset(ctx context.Context, actor, name string) (plan.NewToken, error)
}

// auditFunc returns entries of the audit log, oldest first: those after a
// number, at most limit, where 0 is all. With after 0 and a limit it returns
// the newest. Of several servers they are those of the named one, or of the first;
// the error wraps plan.ErrNotFound for one that there is not.
type auditFunc func(server string, after uint64, limit int) ([]plan.AuditEntry, error)

// WithTokens has the Server list, make and change registration tokens.
func WithTokens(tokens tokenKeeper) Option {
	return func(s *Server) { s.tokens = tokens }
}

// WithAudit has the Server give out the audit log, which read reads.
func WithAudit(read func(server string, after uint64, limit int) ([]plan.AuditEntry, error)) Option {
	return func(s *Server) { s.audit = read }
}

// ListedToken is a token in a list.
type ListedToken struct {
	plan.Token
	// Runners counts those that came by the token and are not gone.
	Runners int `json:"runners"`
}

// maxBody is the size that the body of a request may have, in bytes.
const maxBody = 64 << 10

// tokenDetail is the answer for one token.
type tokenDetail struct {
	Token   plan.Token       `json:"token"`
	Runners []plan.Enrolment `json:"runners"`
}

// tokenSecret is the answer that has the secret of a token, which no other
// answer has.
type tokenSecret struct {
	Token  plan.Token `json:"token"`
	Secret string     `json:"secret"`
}

// changeReset is the reset as a change in a path. It is none of plan's since
// it answers a secret.
const changeReset = "reset"

var errNoGateway = errors.New("this scaler has no gateway: set gateway.listen and gateway.public_url")

var errNoAudit = errors.New("this scaler keeps no audit log")

func (s *Server) tokenRoutes() []route {
	routes := []route{
		{http.MethodGet, "/v1/tokens", s.getTokens},
		{http.MethodPost, "/v1/tokens", s.postToken},
		{http.MethodGet, "/v1/tokens/{name}", s.getToken},
		{http.MethodDelete, "/v1/tokens/{name}", s.deleteToken},
		{http.MethodPost, "/v1/tokens/{name}/{change}", s.postTokenChange},
	}
	if s.tokens == nil {
		for i := range routes {
			routes[i].serve = noGateway
		}
	}
	audit := route{http.MethodGet, "/v1/audit", s.getAudit}
	if s.audit == nil {
		audit.serve = func(w http.ResponseWriter, _ *http.Request) { writeError(w, http.StatusNotFound, errNoAudit) }
	}
	return append(routes, audit)
}

func noGateway(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusNotFound, errNoGateway)
}

func (s *Server) getTokens(w http.ResponseWriter, _ *http.Request) {
	list := []ListedToken{}
	for _, t := range s.tokens.Tokens() {
		_, runners, err := s.tokens.Token(t.Name)
		if errors.Is(err, plan.ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			writeError(w, statusOf(err), err)
			return
		}
		list = append(list, ListedToken{Token: t, Runners: present(runners)})
	}
	writeJSON(w, http.StatusOK, list)
}

// present counts the runners that are not gone.
func present(runners []plan.Enrolment) int {
	n := 0
	for _, r := range runners {
		if r.GoneAt.IsZero() {
			n++
		}
	}
	return n
}

func (s *Server) getToken(w http.ResponseWriter, r *http.Request) {
	t, runners, err := s.tokens.Token(r.PathValue("name"))
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, tokenDetail{t, append([]plan.Enrolment{}, runners...)})
}

func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	spec, err := readSpec(w, r)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	made, err := s.tokens.Create(ctx, actor(r), spec)
	writeSecret(w, http.StatusCreated, made, err)
}

// postTokenChange makes one change, or gives the token a new secret.
func (s *Server) postTokenChange(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	name, change := r.PathValue("name"), r.PathValue("change")
	switch plan.TokenChange(change) {
	case changeReset:
		made, err := s.tokens.Reset(ctx, actor(r), name)
		writeSecret(w, http.StatusOK, made, err)
	case plan.TokenPin, plan.TokenUnpin, plan.TokenEnable, plan.TokenDisable, plan.TokenRevoke:
		t, err := s.tokens.Change(ctx, actor(r), name, plan.TokenChange(change))
		if err != nil {
			writeError(w, statusOf(err), err)
			return
		}
		writeJSON(w, http.StatusOK, t)
	default:
		writeError(w, http.StatusNotFound, fmt.Errorf("no %s: a token knows pin, unpin, enable, disable, reset and revoke", r.URL.Path))
	}
}

func (s *Server) deleteToken(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	if _, err := s.tokens.Change(ctx, actor(r), r.PathValue("name"), plan.TokenDelete); err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// getAudit takes the parameters server, after and limit; the numbers are 0 if they
// are missing.
func (s *Server) getAudit(w http.ResponseWriter, r *http.Request) {
	after, afterErr := number(r, "after", 64)
	limit, limitErr := number(r, "limit", 31)
	if err := errors.Join(afterErr, limitErr); err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	entries, err := s.audit(r.FormValue("server"), after, int(limit))
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, append([]plan.AuditEntry{}, entries...))
}

// number reads a parameter that is a number of so many bits.
func number(r *http.Request, parameter string, bits int) (uint64, error) {
	text := r.FormValue(parameter)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%s=%q: want a number from 0 on: %w", parameter, text, plan.ErrInvalid)
	}
	return n, nil
}

// readSpec reads the one JSON object that the body has to be.
func readSpec(w http.ResponseWriter, r *http.Request) (plan.TokenSpec, error) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	var spec plan.TokenSpec
	err := dec.Decode(&spec)
	switch _, rest := dec.Token(); {
	case err == io.EOF:
		err = errors.New("it is empty")
	case err == nil && rest == nil:
		err = errors.New("something follows the token's JSON object")
	case err == nil && rest != io.EOF:
		err = rest
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return plan.TokenSpec{}, fmt.Errorf("read request body: %w", err)
	}
	if err != nil {
		return plan.TokenSpec{}, fmt.Errorf("read request body: %w: %w", plan.ErrInvalid, err)
	}
	return spec, nil
}

// writeSecret answers a token with its secret, or the error that came in its
// place.
func writeSecret(w http.ResponseWriter, status int, made plan.NewToken, err error) {
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, status, tokenSecret{made.Token, made.Secret.Reveal()})
}

// peerKey is the context's key of the user id at the other end of the
// connection.
type peerKey struct{}

// actor says for the audit log who asks.
func actor(r *http.Request) string {
	if uid, known := r.Context().Value(peerKey{}).(uint32); known {
		return fmt.Sprintf("uid %d on the control socket", uid)
	}
	return "unknown uid on the control socket"
}
