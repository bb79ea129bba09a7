package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// hook puts the traps in front of a server. see is called with each request
// before it is carried out, if it is.
func (t *traps) hook(next http.Handler, stepOf func(*http.Request) string, see func(step string, r *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		step := stepOf(r)
		m, fired, trapped := t.take(step)
		if trapped {
			t.spring(next, w, r, point{step, m}, fired, func(r *http.Request) { see(step, r) })
			return
		}
		if step != "" {
			see(step, r)
		}
		next.ServeHTTP(w, r)
	})
}

// spring kills the daemon at the moment with respect to its request.
func (t *traps) spring(next http.Handler, w http.ResponseWriter, r *http.Request, p point, fired chan struct{}, see func(*http.Request)) {
	t.note("trap %s: %s %s", p, r.Method, r.URL.Path)
	var answer held
	if p.at == late {
		body, err := io.ReadAll(r.Body)
		t.kill()
		close(fired)
		if err == nil {
			time.Sleep(t.delay(latest))
			r = r.WithContext(context.WithoutCancel(r.Context()))
			r.Body = io.NopCloser(bytes.NewReader(body))
			see(r)
			serveHeld(next, &answer, r)
		}
		panic(http.ErrAbortHandler)
	}
	defer close(fired)
	if p.at == before {
		t.kill()
		panic(http.ErrAbortHandler)
	}
	see(r)
	if aborted := serveHeld(next, &answer, r); aborted || p.at == unheard {
		t.kill()
		panic(http.ErrAbortHandler)
	}
	answer.send(w)
	time.Sleep(t.delay(afterAnswer))
	t.kill()
}

// serveHeld lets the handler serve into a buffer; aborted says that it cut the
// connection.
func serveHeld(h http.Handler, w *held, r *http.Request) (aborted bool) {
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			aborted = true
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

// held is an answer that has not been sent.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (h *held) Header() http.Header {
	if h.header == nil {
		h.header = http.Header{}
	}
	return h.header
}

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

// Write implements http.ResponseWriter.
func (h *held) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(p)
}

// send sends the answer in full.
func (h *held) send(w http.ResponseWriter) {
	for name, values := range h.Header() {
		w.Header()[name] = values
	}
	h.WriteHeader(http.StatusOK)
	if h.status != http.StatusNoContent && h.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(h.body.Len()))
	}
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes()) // the client may be gone
	_ = http.NewResponseController(w).Flush()
}
