package realgitea

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// signIn signs the administrator in on the pages, for what REST cannot do.
func (s *Server) signIn(t testing.TB) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.web = &http.Client{Jar: jar, Timeout: callTimeout, Transport: s.api.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s.Submit(t, "/user/login", url.Values{"user_name": {Admin}, "password": {Password}})
}

// Submit posts a form to a page, by its path, as a signed-in administrator
// does.
func (s *Server) Submit(t testing.TB, page string, form url.Values) {
	t.Helper()
	if err := s.submit(t.Context(), page, form); err != nil {
		t.Fatal(err)
	}
}

// submit posts a form. Gitea before 1.26 and Forgejo 11 want the secret
// that they gave as a cookie with a page (services/context/csrf.go), and give
// another one to whoever has signed in.
func (s *Server) submit(ctx context.Context, page string, form url.Values) error {
	if _, err := s.page(ctx, "/user/login"); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+page, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range s.web.Jar.Cookies(req.URL) {
		if c.Name == "_csrf" {
			req.Header.Set("X-Csrf-Token", c.Value)
		}
	}
	resp, err := s.web.Do(req)
	if err != nil {
		return err // it names the method and the URL
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusBadRequest {
		return &statusError{what: "post to " + page, status: resp.StatusCode}
	}
	return nil
}

// ResetUserToken resets the registration token of the administrator's own
// runners. Before Gitea 1.23, and in Forgejo, that is a link; newer ones take
// what it leads to for a runner that is not there, and want a form.
func (s *Server) ResetUserToken(t testing.TB) {
	t.Helper()
	const path = "/user/settings/actions/runners/reset_registration_token"
	_, err := s.page(t.Context(), path)
	if err != nil {
		err = s.submit(t.Context(), path, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// page gets a page, empty if it leads elsewhere.
func (s *Server) page(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := s.web.Do(req)
	if err != nil {
		return "", err // it names the method and the URL
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "", fmt.Errorf("get %s: %w", path, err)
	case resp.StatusCode >= http.StatusBadRequest:
		return "", &statusError{what: "get " + path, status: resp.StatusCode}
	case resp.StatusCode != http.StatusOK:
		return "", nil
	}
	return string(text), nil
}
