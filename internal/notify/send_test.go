package notify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// checkSignature checks a request as a receiver would.
func checkSignature(t *testing.T, l letter, secret string, now time.Time) {
	t.Helper()
	stamp := l.header.Get(headerTimestamp)
	if at, err := strconv.ParseInt(stamp, 10, 64); err != nil || at != now.Unix() {
		t.Errorf("timestamp %q, %v, want %d", stamp, err, now.Unix())
	}
	want := "sha256=" + hex.EncodeToString(signature(plan.Secret(secret), stamp, []byte(l.body)))
	if got := l.header.Get(headerSignature); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// serve serves at an address of its own until the test ends.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestSend(t *testing.T) {
	var got letter
	s := serve(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		got = letter{url: req.Method + " " + req.URL.String(), header: req.Header, body: string(body)}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintln(w, "taken\nwith \x1b[31mthanks")
	})
	target := simple("ops", func(t *Target) {
		t.URL, t.Method = text(s.URL+"/rooms/!x%3Aexample.com/send/{id}?q=1"), http.MethodPut
		t.Headers = map[string]func() (plan.Secret, error){"X-Api-Key": text("k"), "content-type": text("text/plain")}
		t.Bearer, t.Secret = text("bearer-token-1"), text("0123456789abcdef")
	})
	n := plan.SampleNotice(plan.EventBreakerOpened)
	answer, err := Send(t.Context(), nil, target, n)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != http.StatusCreated || answer.Body != "taken with [31mthanks" || answer.Tries != 1 {
		t.Errorf("answer %+v", answer)
	}
	if want := "PUT /rooms/!x%3Aexample.com/send/" + n.ID + "?q=1"; got.url != want {
		t.Errorf("request %s, want %s", got.url, want)
	}
	for name, want := range map[string]string{
		"X-Api-Key": "k", "Content-Type": "text/plain", "Authorization": "Bearer bearer-token-1", headerID: n.ID, "User-Agent": "scaler",
	} {
		if v := got.header.Values(name); len(v) != 1 || v[0] != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	stamp, err := strconv.ParseInt(got.header.Get(headerTimestamp), 10, 64)
	if err != nil || time.Since(time.Unix(stamp, 0)).Abs() > time.Minute {
		t.Errorf("timestamp %d, %v", stamp, err)
	}
	checkSignature(t, got, "0123456789abcdef", time.Unix(stamp, 0))
}

func TestSignatureIsThatOfTheDocuments(t *testing.T) {
	// echo -n '1772366400.{"id":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
	const want = "3b08cc242481fcf199c609d4e2715fa0e1e7537e8634856b4b1bc88aff4ff5bd"
	if got := hex.EncodeToString(signature("0123456789abcdef", "1772366400", []byte(`{"id":1}`))); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, other.URL+"/stolen-path-1", status)
		})
		_, err := Send(t.Context(), nil, simple("ops", func(t *Target) { t.URL = text(s.URL) }), plan.SampleNotice(plan.EventProblem))
		if err == nil || !strings.Contains(err.Error(), "a redirect to "+other.URL+", which is not followed") || strings.Contains(err.Error(), "stolen") {
			t.Errorf("%d: error %v", status, err)
		}
	}
	if n := elsewhere.Load(); n > 0 {
		t.Errorf("%d requests went where the redirect leads", n)
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	_, err := Send(t.Context(), nil, simple("ops", func(t *Target) { t.URL, t.Timeout = text(s.URL+"/path-1234"), 50*time.Millisecond }), plan.SampleNotice(plan.EventProblem))
	if err == nil || strings.Contains(err.Error(), "path-1234") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// Nothing that is said of a target shows more of it than its host, however it
// fails and whatever it answers.
func TestNothingSecretIsShown(t *testing.T) {
	secrets := []string{"T0KEN-in-the-path", "query-t0ken", "header-s3cret", "bearer-s3cret", "signing-s3cret-0123"}
	echo := serve(t, func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "no: %s %v and the key is signing-s3cret-0123", req.URL, req.Header)
	})
	closing := serve(t, nil)
	closing.Close()
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte("HTTP/1.1 nonsense T0KEN-in-the-path\r\n\r\n"))
			_ = conn.Close()
		}
	})
	for name, base := range map[string]string{
		"an answer that repeats all": echo.URL, "nobody listens": closing.URL, "no HTTP": broken.URL,
		"no such host": "https://no-such-host.invalid", "no TLS": strings.Replace(echo.URL, "http:", "https:", 1), "no URL": "::bad",
	} {
		t.Run(name, func(t *testing.T) {
			target := simple("ops", func(t *Target) {
				t.URL = text(base + "/services/" + secrets[0] + "?key=" + secrets[1])
				t.Headers = map[string]func() (plan.Secret, error){"X-Key": text(secrets[2])}
				t.Bearer, t.Secret = text(secrets[3]), text(secrets[4])
			})
			answer, err := Send(t.Context(), nil, target, plan.SampleNotice(plan.EventProblem))
			if err == nil {
				t.Fatal("it succeeds")
			}
			shown := fmt.Sprintf("%v %+v %+v", err, err, answer)
			for _, secret := range secrets {
				if strings.Contains(shown, secret) {
					t.Errorf("%s is shown: %s", secret, shown)
				}
			}
		})
	}
}

func TestSecretsThatCannotBeRead(t *testing.T) {
	missing := func() (plan.Secret, error) { return "", errors.New("read secret from file /x: no such file") }
	for name, change := range map[string]func(*Target){
		"url":    func(t *Target) { t.URL = missing },
		"bearer": func(t *Target) { t.Bearer = missing },
		"secret": func(t *Target) { t.Secret = missing },
		"header": func(t *Target) { t.Headers = map[string]func() (plan.Secret, error){"X": missing} },
	} {
		t.Run(name, func(t *testing.T) {
			p := new(post)
			_, err := Send(t.Context(), p, simple("ops", change), plan.SampleNotice(plan.EventProblem))
			if err == nil || !strings.Contains(err.Error(), "file /x") || len(p.letters()) > 0 {
				t.Errorf("error %v, %d requests", err, len(p.letters()))
			}
		})
	}
}

// The log, the problems and the counters of a Notifier hold no secret either.
func TestNotifierShowsNoSecret(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops", func(t *Target) {
			t.URL, t.Bearer, t.Secret = text("https://hooks.example.com/services/T0KEN1/secret-part-2?k=v3ry-secret"), text("bearer-s3cret"), text("signing-s3cret-0123")
		}))
		r.post.answer = func(n int, req *http.Request) (int, error) {
			if n < 3 {
				return 0, fmt.Errorf("Post %q: failed with %s", req.URL, req.Header.Get("Authorization"))
			}
			return http.StatusForbidden, nil
		}
		r.diary.add(opened("linux"))
		r.pass(time.Hour)
		shown := fmt.Sprint(r.log, r.noted(), r.tally.counts)
		for _, secret := range []string{"T0KEN1", "secret-part-2", "v3ry-secret", "bearer-s3cret", "signing-s3cret"} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s is shown: %s", secret, shown)
			}
		}
		if len(r.noted()) != 1 || !strings.Contains(r.noted()[0], "hooks.example.com") {
			t.Errorf("problems %q", r.noted())
		}
	})
}
