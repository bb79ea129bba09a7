package giteatest

import (
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong with requests of one kind. The zero
// effect is none at all. Of several faults that match, the oldest applies.
type Fault struct {
	// Kind is a pattern of path.Match for the kind of request: "version",
	// "user", "jobs", "job", "runners", "runner.create", "runner.get",
	// "runner.delete", "runner.patch", "registration-token", "repository",
	// "Register", "Declare", "FetchTask", "FetchSingleTask", "UpdateTask",
	// "UpdateLog", "Deregister", "Ping", or "other". Empty means "*", all. The
	// endpoints below /fake/ have no faults.
	Kind string `json:"kind"`
	// Latency is waited before anything else. POST /fake/faults takes it as
	// latency_ms.
	Latency time.Duration `json:"-"`
	// Status answers with this HTTP status; the request is not processed.
	Status int `json:"status"`
	// RetryAfter is sent with Status, in whole seconds. POST /fake/faults takes
	// it as retry_after_s.
	RetryAfter time.Duration `json:"-"`
	// Body is sent with Status; default: the status text, as proxies do.
	Body string `json:"body"`
	// Drop closes the connection without an answer; the request is not
	// processed.
	Drop bool `json:"drop"`
	// DropAfter processes the request and then closes the connection: the
	// trap for a Register that is tried again.
	DropAfter bool `json:"drop_after"`
	// HalfPage sends the first half of the answer and closes the connection.
	HalfPage bool `json:"half_page"`
	// HalfBody sends the first half as if it were all: invalid JSON in a
	// complete answer.
	HalfBody bool `json:"half_body"`
	// Times is how many requests it applies to; 0 means until ClearFaults.
	Times int `json:"times"`
}

// activeFault is a fault and how often it has yet to apply.
type activeFault struct {
	Fault
	left int
}

// SetFault adds a fault. The error says what is wrong with it.
func (s *Server) SetFault(f Fault) error {
	if f.Kind == "" {
		f.Kind = "*"
	}
	if _, err := path.Match(f.Kind, ""); err != nil {
		return fmt.Errorf("fault kind %q: %w", f.Kind, err)
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("fault status %d: must be 200 to 599", f.Status)
	}
	if f.Latency < 0 || f.RetryAfter < 0 || f.Times < 0 {
		return fmt.Errorf("fault for %s: latency, retry_after and times must not be negative", f.Kind)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &activeFault{Fault: f, left: f.Times})
	return nil
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// count notes a request and returns the fault that it is to have.
func (s *Server) count(kind string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Calls[kind]++
	for _, f := range s.faults {
		match, _ := path.Match(f.Kind, kind)
		if !match || f.Times > 0 && f.left == 0 {
			continue
		}
		f.left--
		return f.Fault
	}
	return Fault{}
}

// kindOf names the kind of a request, see Fault.Kind.
func kindOf(r *http.Request) string {
	p := r.URL.Path
	last := p[strings.LastIndexByte(p, '/')+1:]
	switch {
	case strings.HasPrefix(p, "/api/actions/"):
		switch last {
		case "Register", "Declare", "FetchTask", "FetchSingleTask", "UpdateTask", "UpdateLog", "Deregister", "Ping":
			return last
		}
	case p == "/api/v1/version", p == "/api/v1/user":
		return last
	case last == "registration-token":
		return last
	case strings.HasSuffix(p, "/actions/runners"):
		if r.Method == http.MethodPost {
			return "runner.create"
		}
		return last
	case strings.HasSuffix(p, "/actions/jobs"), strings.HasSuffix(p, "/runners/jobs"):
		return last
	case strings.HasPrefix(p, "/api/v1/repositories/"):
		return "repository"
	case strings.Contains(p, "/actions/jobs/"):
		return "job"
	case strings.Contains(p, "/actions/runners/"):
		return "runner." + strings.ToLower(r.Method)
	}
	return "other"
}

// ServeHTTP implements http.Handler. Answers are made in full before the first
// byte is sent, so that a slow reader holds nobody up.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/fake/") {
		s.current().ServeHTTP(w, r)
		return
	}
	f := s.count(kindOf(r))
	if f.Latency > 0 && !wait(r, f.Latency) {
		panic(http.ErrAbortHandler) // the client is gone
	}
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	if f.Status != 0 {
		f.answer(w)
		return
	}
	var buf buffer
	s.current().ServeHTTP(&buf, r)
	switch {
	case f.DropAfter:
		panic(http.ErrAbortHandler)
	case f.HalfPage:
		buf.Header().Set("Content-Length", strconv.Itoa(buf.body.Len()))
		buf.body.Truncate(buf.body.Len() / 2)
		buf.copyTo(w)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case f.HalfBody:
		buf.Header().Del("Content-Length")
		buf.body.Truncate(buf.body.Len() / 2)
	}
	buf.copyTo(w)
}

// current is what a server of the present profile serves.
func (s *Server) current() *http.ServeMux {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mux
}

// answer sends the status that the fault has.
func (f Fault) answer(w http.ResponseWriter) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	body := f.Body
	if body == "" {
		body = http.StatusText(f.Status)
	}
	http.Error(w, body, f.Status)
}

// wait waits for d and reports whether the client is still there then.
func wait(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
