package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"scaler.io/scaler/internal/plan"
)

// The headers that a message has beside those of the configuration. They are
// documented in docs/notifications.md.
const (
	headerID        = "X-Scaler-Notification"
	headerTimestamp = "X-Scaler-Timestamp"
	headerSignature = "X-Scaler-Signature"
)

const (
	maxTries  = 8
	retryMin  = 2 * time.Second
	retryMax  = 2 * time.Minute
	maxAnswer = 4 << 10 // bytes of an answer that are read
	maxShown  = 200     // characters of it that an error shows
)

// Answer is what came of sending a message.
type Answer struct {
	Status int    // of the last answer, 0 without any
	Body   string // of it, its begin, without control characters and secrets
	Tries  int
	// Nothing is set if the template gave nothing to be sent.
	Nothing bool
}

// sender sends messages.
type sender struct {
	transport http.RoundTripper // nil for the usual one
	// soft ends when nothing is to be tried again; nil never does.
	soft context.Context
	// once is set if nothing is ever tried again.
	once bool
}

// Send sends a notice to a target, once. The error says what is wrong, and
// shows no secret.
func Send(ctx context.Context, transport http.RoundTripper, t Target, n plan.Notice) (Answer, error) {
	return sender{transport: transport, once: true}.send(ctx, t, n)
}

// send sends a notice, and tries again for as long as that may help. Errors
// show nothing of the URL but its host, and no secret.
func (s sender) send(ctx context.Context, t Target, n plan.Notice) (Answer, error) {
	body, err := t.Template.Render(n)
	if err != nil {
		return Answer{}, fmt.Errorf("make notification of template: %w", err)
	}
	if len(body) == 0 {
		return Answer{Nothing: true}, nil
	}
	m, err := newMessage(t, n.ID, body)
	if err != nil {
		return Answer{}, fmt.Errorf("prepare notification: %w", err)
	}
	req, err := m.request(ctx)
	if err != nil {
		return Answer{}, fmt.Errorf("send notification: %w", m.hide(err))
	}
	tries := 0
	resp, err := s.client(t.Timeout, m, &tries).Do(req)
	if err != nil {
		return Answer{Tries: tries}, fmt.Errorf("send notification to %s: %w", m.host, m.hide(err))
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // what came is shown
	answer := Answer{Status: resp.StatusCode, Body: m.clean(string(text)), Tries: tries}
	return answer, m.judge(resp, answer.Body)
}

// client returns what makes the tries of one message.
func (s sender) client(timeout time.Duration, m *message, tries *int) *retryablehttp.Client {
	transport := s.transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport: counter{transport, tries}, Timeout: timeout,
			// A redirect would carry the headers, with their secrets, elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax: maxTries - 1, RetryWaitMin: retryMin, RetryWaitMax: retryMax,
		Backoff: backoff,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			if s.once || ctx.Err() != nil || s.soft != nil && s.soft.Err() != nil {
				return false, nil
			}
			again, _ := retryablehttp.DefaultRetryPolicy(ctx, resp, err)
			return again, nil
		},
		PrepareRetry: m.sign,
		ErrorHandler: func(resp *http.Response, err error, _ int) (*http.Response, error) { return resp, err },
	}
}

// counter counts the tries.
type counter struct {
	next  http.RoundTripper
	tries *int
}

// RoundTrip implements http.RoundTripper.
func (c counter) RoundTrip(req *http.Request) (*http.Response, error) {
	*c.tries++
	return c.next.RoundTrip(req)
}

// backoff doubles the wait with each try and takes up to half of it away at
// random. It waits for at least as long as the other side asks for, within its
// bound.
func backoff(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
	wait := min(least<<min(attempt, 16), most)
	wait -= rand.N(wait/2 + 1)
	if resp != nil {
		if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
			wait = max(wait, min(time.Duration(seconds)*time.Second, most))
		}
	}
	return wait
}

// message is one notice on its way, with the secrets that it needs.
type message struct {
	method  string
	url     string
	host    string
	body    []byte
	header  http.Header
	key     plan.Secret // what it is signed with, "" for not at all
	secrets []string    // what is never shown
}

func newMessage(t Target, id string, body []byte) (*message, error) {
	m := &message{method: t.Method, body: body, header: make(http.Header)}
	address, err := t.URL()
	if err != nil {
		return nil, err
	}
	m.url = strings.ReplaceAll(address.Reveal(), "{id}", url.PathEscape(id))
	u, err := url.Parse(m.url)
	if err != nil || u.Host == "" {
		return nil, errors.New("the URL is no URL any more: write https://HOST/PATH")
	}
	m.host = u.Host
	m.hideURL(u)
	m.header.Set("Content-Type", "application/json")
	m.header.Set("User-Agent", "scaler")
	m.header.Set(headerID, id)
	for name, read := range t.Headers {
		if err := m.set(name, "", read); err != nil {
			return nil, err
		}
	}
	if t.Bearer != nil {
		if err := m.set("Authorization", "Bearer ", t.Bearer); err != nil {
			return nil, err
		}
	}
	if t.Secret != nil {
		if m.key, err = t.Secret(); err != nil {
			return nil, err
		}
		m.secrets = append(m.secrets, m.key.Reveal())
	}
	return m, nil
}

func (m *message) set(name, prefix string, read func() (plan.Secret, error)) error {
	value, err := read()
	if err != nil {
		return err
	}
	if len(value) >= minHidden {
		m.secrets = append(m.secrets, value.Reveal())
	}
	m.header.Set(name, prefix+value.Reveal())
	return nil
}

// minHidden is the length from which on a text can be a secret; looksSecret
// that from which on it is taken for one though it has no digit.
const minHidden, looksSecret = 6, 16

// hideURL takes the URL behind its host for a secret, as a whole and in parts.
func (m *message) hideURL(u *url.URL) {
	m.secrets = append(m.secrets, m.url)
	if uri := u.RequestURI(); len(uri) > 1 {
		m.secrets = append(m.secrets, uri)
	}
	parts := strings.Split(u.EscapedPath(), "/")
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	for _, part := range parts {
		if len(part) >= looksSecret || len(part) >= minHidden && strings.ContainsAny(part, "0123456789") {
			m.secrets = append(m.secrets, part)
		}
	}
}

func (m *message) request(ctx context.Context) (*retryablehttp.Request, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, m.method, m.url, m.body)
	if err != nil {
		return nil, err
	}
	req.Header = m.header.Clone()
	return req, m.sign(req.Request)
}

// sign signs a try. The moment is part of what is signed, so that a message
// that somebody has recorded cannot be sent again much later.
func (m *message) sign(req *http.Request) error {
	if m.key == "" {
		return nil
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set(headerTimestamp, now)
	req.Header.Set(headerSignature, "sha256="+hex.EncodeToString(signature(m.key, now, m.body)))
	return nil
}

// signature is the HMAC-SHA256 of the timestamp, a dot and the body.
func signature(key plan.Secret, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// judge returns an error for an answer that is no success.
func (m *message) judge(resp *http.Response, text string) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	what := strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		to := "elsewhere"
		if u, err := resp.Location(); err == nil {
			to = "to " + u.Scheme + "://" + u.Host
		}
		return fmt.Errorf("send notification to %s: it answers %s, a redirect %s, which is not followed: write the URL that it leads to", m.host, what, to)
	}
	if text = tidy(text, maxShown); text != "" {
		what += ": " + text
	}
	return fmt.Errorf("send notification to %s: it answers %s", m.host, what)
}

// hide returns an error whose text shows nothing of the URL but its host. What
// was wrapped stays to be found.
func (m *message) hide(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &hidden{err, m.clean(err.Error())}
}

// hidden is an error without its secrets.
type hidden struct {
	cause error
	text  string
}

func (h *hidden) Error() string { return h.text }
func (h *hidden) Unwrap() error { return h.cause }

// clean takes secrets and control characters out of a text of others.
func (m *message) clean(s string) string {
	for _, secret := range m.secrets {
		s = strings.ReplaceAll(s, secret, "[redacted]")
	}
	return tidy(s, maxAnswer)
}
