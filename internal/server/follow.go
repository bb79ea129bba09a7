package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// streamTimeout is how long a reader of a stream may take to read what was
	// written, before it is cut off.
	streamTimeout = 10 * time.Second
	// eventsAtOnce is how many events are read from the journal at a time.
	eventsAtOnce = 256
	// maxLogLines is how many lines of a log are given out at most, beside those
	// that come, and defaultLogLines how many if nothing is said.
	maxLogLines, defaultLogLines = 10_000, 100
	// maxUsages is of how many runners the usage is told at a time.
	maxUsages = 200
)

// eventJournal has the last events. Its methods may be called concurrently.
type eventJournal interface {
	// Since returns up to limit events after the one numbered seq, and how many
	// of them are not kept any more.
	Since(seq uint64, limit int) (events []plan.Event, missed uint64)
	// Wait returns once there is one after it, or ctx has ended.
	Wait(ctx context.Context, seq uint64) error
}

// WithEvents has the Server give out what happens.
func WithEvents(j eventJournal) Option { return func(s *Server) { s.journal = j } }

// onlooker looks into runners. Its methods may be called concurrently. Errors wrap
// plan.ErrNotFound if there is no such runner or container.
type onlooker interface {
	Logs(ctx context.Context, runner string, lines int) ([]string, error)
	FollowLogs(ctx context.Context, runner string, lines int, line func(string) error) error
	// Usage leaves out runners that cannot be asked.
	Usage(ctx context.Context, runners []string) []plan.Usage
}

// WithOnlooker has the Server give out logs and the usage of runners.
func WithOnlooker(o onlooker) Option { return func(s *Server) { s.onlooker = o } }

// EventLine is one line of the events that are given out: an event, or that some
// were missed.
type EventLine struct {
	plan.Event
	// Missed is how many events are not kept any more that were to come here.
	Missed uint64 `json:"missed,omitempty"`
}

// missedLine is a line that has no event.
type missedLine struct {
	Missed uint64 `json:"missed"`
}

// LogLine is one line of a log that is given out.
type LogLine struct {
	Line string `json:"line"`
}

func (s *Server) followRoutes() []route {
	events := route{http.MethodGet, "/v1/events", s.getEvents}
	if s.journal == nil {
		events.serve = nothingToFollow
	}
	routes := []route{
		{http.MethodGet, "/v1/runners/{name}/logs", s.getLogs},
		{http.MethodGet, "/v1/usage", s.getUsage},
	}
	if s.onlooker == nil {
		for i := range routes {
			routes[i].serve = nothingToFollow
		}
	}
	return append(routes, events)
}

func nothingToFollow(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusNotFound, errors.New("this scaler gives out neither events nor logs"))
}

// getEvents answers one event a line: those after the parameter since, and with
// follow=true also those that come.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	seq, err := number(r, "since", 64)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	out := newStream(w)
	for {
		events, missed := s.journal.Since(seq, eventsAtOnce)
		if missed > 0 {
			out.write(missedLine{missed})
		}
		for _, e := range events {
			out.write(e)
			seq = e.Seq
		}
		if out.flush() != nil {
			return
		}
		if len(events) > 0 {
			continue
		}
		if r.FormValue("follow") != "true" || s.journal.Wait(r.Context(), seq) != nil {
			return
		}
	}
}

// getLogs takes the parameters lines and follow. It answers one line of JSON for
// each of the log.
func (s *Server) getLogs(w http.ResponseWriter, r *http.Request) {
	name, lines := r.PathValue("name"), uint64(defaultLogLines)
	if r.FormValue("lines") != "" {
		var err error
		if lines, err = number(r, "lines", 31); err == nil && lines > maxLogLines {
			err = fmt.Errorf("lines=%d: %w: %d at most", lines, plan.ErrInvalid, maxLogLines)
		}
		if err != nil {
			writeError(w, statusOf(err), err)
			return
		}
	}
	if r.FormValue("follow") == "true" {
		s.followLogs(w, r, name, int(lines))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	list, err := s.onlooker.Logs(ctx, name, int(lines))
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	out := newStream(w)
	for _, line := range list {
		out.write(LogLine{line})
	}
	_ = out.flush() // fails only if the client has gone
}

func (s *Server) followLogs(w http.ResponseWriter, r *http.Request, name string, lines int) {
	if _, err := s.onlooker.Logs(r.Context(), name, 0); err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	out := newStream(w)
	_ = out.flush() // the first line may be a long time coming
	err := s.onlooker.FollowLogs(r.Context(), name, lines, func(line string) error {
		out.write(LogLine{line})
		return out.flush()
	})
	if err != nil && r.Context().Err() == nil {
		out.write(errorBody{err.Error()})
		_ = out.flush() // fails only if the client has gone
	}
}

// getUsage takes the parameter runner, any number of times.
func (s *Server) getUsage(w http.ResponseWriter, r *http.Request) {
	names := r.URL.Query()["runner"]
	if len(names) > maxUsages {
		err := fmt.Errorf("%d runners: %w: %d at most", len(names), plan.ErrInvalid, maxUsages)
		writeError(w, statusOf(err), err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	writeJSON(w, http.StatusOK, append([]plan.Usage{}, s.onlooker.Usage(ctx, names)...))
}

// stream writes lines of JSON for as long as somebody reads them. The deadlines
// of other requests do not hold for it.
type stream struct {
	w     http.ResponseWriter
	ctl   *http.ResponseController
	enc   *json.Encoder
	begun bool
	err   error
}

func newStream(w http.ResponseWriter) *stream {
	s := &stream{w: w, ctl: http.NewResponseController(w), enc: json.NewEncoder(w)}
	s.enc.SetEscapeHTML(false)
	return s
}

// begin sends the header.
func (s *stream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	s.w.Header().Set("Content-Type", "application/jsonl")
	s.w.Header().Set("Cache-Control", "no-store")
	s.err = s.ctl.SetReadDeadline(time.Time{})
	s.w.WriteHeader(http.StatusOK)
}

// write adds a line.
func (s *stream) write(v any) {
	s.begin()
	if s.err != nil {
		return
	}
	if s.err = s.ctl.SetWriteDeadline(time.Now().Add(streamTimeout)); s.err == nil {
		s.err = s.enc.Encode(v)
	}
}

// flush sends what was written, and the header if nothing was. It returns the
// first error.
func (s *stream) flush() error {
	s.begin()
	if s.err == nil {
		if s.err = s.ctl.SetWriteDeadline(time.Now().Add(streamTimeout)); s.err == nil {
			s.err = s.ctl.Flush()
		}
	}
	return s.err
}

// Events calls each with the events after the one numbered since, and if it is to
// follow, with those that come, until ctx ends, the daemon ends or each returns
// an error. It returns nil if there are no more.
func (c *Client) Events(ctx context.Context, since uint64, follow bool, each func(EventLine) error) error {
	return readLines(ctx, c, fmt.Sprintf("/v1/events?since=%d&follow=%v", since, follow), each)
}

// Logs calls each with the last lines of a runner's container, and if it is to
// follow, with those that come until it has ended. The error wraps
// plan.ErrNotFound if there is no such runner, or it has no container.
func (c *Client) Logs(ctx context.Context, runner string, lines int, follow bool, each func(string) error) error {
	path := fmt.Sprintf("/v1/runners/%s/logs?lines=%d&follow=%v", segment(runner), lines, follow)
	return readLines(ctx, c, path, func(l struct {
		LogLine
		errorBody
	}) error {
		if l.Error != "" {
			return errors.New(l.Error)
		}
		return each(l.Line)
	})
}

// Usage returns what the containers of runners take at the moment, without those
// that cannot be asked.
func (c *Client) Usage(ctx context.Context, runners []string) ([]plan.Usage, error) {
	return get[[]plan.Usage](ctx, c, callTimeout+time.Second, "/v1/usage?"+url.Values{"runner": runners}.Encode())
}

// readLines makes a request and calls each with what each line of the answer has.
// The first line may be a long time coming, the answer itself not.
func readLines[T any](ctx context.Context, c *Client, path string, each func(T) error) error {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(planTimeout, func() { cancel(context.DeadlineExceeded) })
	req, err := http.NewRequestWithContext(limited, http.MethodGet, "http://scaler"+path, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.path, err)
	}
	resp, err := c.http.Do(req)
	if !late.Stop() && err != nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		return c.explain(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		return answerOf(resp.StatusCode, body)
	}
	dec := json.NewDecoder(resp.Body)
	for {
		var v T
		err := dec.Decode(&v)
		switch {
		case errors.Is(err, io.EOF) || ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("read answer of %s to %s: %w", c.path, path, err)
		}
		if err := each(v); err != nil {
			return err
		}
	}
}
