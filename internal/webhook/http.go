package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	maxBody     = 1 << 20  // bytes; an event has about 4,000
	maxHeader   = 16 << 10 // bytes
	maxDelivery = 128      // bytes; Gitea's ids have 36
)

// The events that are not ignored.
const (
	eventJob  = "workflow_job"
	eventPing = "scaler_ping" // see Ping
)

// refusal is why a request is not taken, and how it is answered.
type refusal struct {
	reason Reason
	status int
	text   string
	err    error // what is wrong on our side, or with a signed body
}

// Handler returns what answers deliveries on the path of the configuration: 204
// to an event that was taken or ignored, 200 to one that came before, and an
// error to everything else.
func (r *Receiver) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for _, other := range r.others {
			if req.URL.EscapedPath() == other.cfg.Path {
				other.serve(w, req)
				return
			}
		}
		r.serve(w, req)
	})
}

// With has the receiver answer deliveries to others too, each on its own path.
func (r *Receiver) With(others ...*Receiver) *Receiver {
	r.others = others
	return r
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	// Not every writer has deadlines; those of a server do.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.limits.body))
	sum, no := r.screen(req)
	if no != nil {
		r.refuse(w, req, no)
		return
	}
	if !r.enter(req.Context()) {
		r.refuse(w, req, &refusal{ReasonBusy, http.StatusServiceUnavailable, "too many requests at once", nil})
		return
	}
	defer func() { <-r.slots }()
	body, no := r.read(w, req, sum)
	if no == nil {
		no = r.dispatch(w, req.Header, body)
	}
	if no != nil {
		r.refuse(w, req, no)
	}
}

// screen refuses what can be refused by its head alone, and returns the
// signature of the rest.
func (r *Receiver) screen(req *http.Request) ([]byte, *refusal) {
	sum, signed := signatureOf(req.Header)
	switch {
	case req.URL.EscapedPath() != r.cfg.Path:
		return nil, &refusal{ReasonPath, http.StatusNotFound, "there is nothing here", nil}
	case req.Method != http.MethodPost:
		return nil, &refusal{ReasonMethod, http.StatusMethodNotAllowed, "events are sent by POST", nil}
	case !signed:
		return nil, &refusal{ReasonUnsigned, http.StatusUnauthorized, "the event is not signed", nil}
	case req.ContentLength > maxBody:
		return nil, tooLarge()
	}
	return sum, nil
}

func tooLarge() *refusal {
	return &refusal{ReasonSize, http.StatusRequestEntityTooLarge, "the event is too large", nil}
}

// enter takes a slot, for which it waits for a while.
func (r *Receiver) enter(ctx context.Context) bool {
	select {
	case r.slots <- struct{}{}:
		return true
	default:
	}
	turn := time.NewTimer(r.limits.turn)
	defer turn.Stop()
	select {
	case r.slots <- struct{}{}:
		return true
	case <-turn.C:
	case <-ctx.Done():
	}
	return false
}

// read reads a body and checks its signature.
func (r *Receiver) read(w http.ResponseWriter, req *http.Request, sum []byte) ([]byte, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, tooLarge()
		}
		return nil, &refusal{ReasonBody, http.StatusRequestTimeout, "the event did not come in full, or too slowly", nil}
	}
	switch good, err := r.verify(sum, body); {
	case err != nil:
		return nil, &refusal{ReasonSecret, http.StatusServiceUnavailable, "events cannot be checked now", err}
	case !good:
		return nil, &refusal{ReasonSignature, http.StatusUnauthorized, "the signature is wrong", nil}
	}
	return body, nil
}

// dispatch does with a signed request what its event asks for.
func (r *Receiver) dispatch(w http.ResponseWriter, h http.Header, body []byte) *refusal {
	switch h.Get(headerEvent) {
	case eventJob:
		return r.accept(w, h.Get(headerDelivery), body)
	case eventPing:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.Stats()) // the client may be gone
	default:
		r.tally.ignored()
		if r.cfg.Other != nil {
			r.cfg.Other()
		}
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// accept hands a signed workflow_job event over.
func (r *Receiver) accept(w http.ResponseWriter, delivery string, body []byte) *refusal {
	event, err := decode(body)
	if err == nil && (delivery == "" || len(delivery) > maxDelivery) {
		err = fmt.Errorf("decode event: its %s has %d characters", headerDelivery, len(delivery))
	}
	if err != nil {
		return &refusal{ReasonMalformed, http.StatusBadRequest, "this is no event of a job", err}
	}
	if !r.recent.add(delivery) {
		r.tally.duplicate()
		w.WriteHeader(http.StatusOK)
		return nil
	}
	event.Delivery = delivery
	r.take(event)
	r.tally.accepted(time.Now())
	r.log.Debug("webhook event taken", "job", event.Job.ID, "action", event.Action, "delivery", delivery)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// refuse answers a refusal and counts it. What anybody who scans the network
// does is counted only.
func (r *Receiver) refuse(w http.ResponseWriter, req *http.Request, no *refusal) {
	count := r.tally.refused(no.reason, no.status, time.Now())
	if no.reason == ReasonMethod {
		w.Header().Set("Allow", http.MethodPost)
	}
	http.Error(w, no.text, no.status)
	if count == 0 || no.reason == ReasonPath || no.reason == ReasonMethod {
		return
	}
	attrs := []any{"reason", no.reason, "count", count, "from", req.RemoteAddr}
	if no.err != nil {
		attrs = append(attrs, "err", no.err)
	}
	r.log.Warn("webhook event refused", attrs...)
}

// Serve answers requests until ctx ends, then closes the listener and gives
// those under way five seconds. It returns nil after ctx has ended, and the
// error of the listener before.
func (r *Receiver) Serve(ctx context.Context, l net.Listener) error {
	hs := &http.Server{
		Handler:           r.Handler(),
		ReadHeaderTimeout: r.limits.header,
		ReadTimeout:       r.limits.body,
		WriteTimeout:      r.limits.turn + r.limits.body + r.limits.answer,
		IdleTimeout:       r.limits.idle,
		MaxHeaderBytes:    maxHeader,
		// What is under way when ctx ends may finish.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:    slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve webhook: %w", err), hs.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.limits.shutdown)
	defer cancel()
	if err := hs.Shutdown(grace); err != nil {
		r.log.Warn("webhook's requests cut off", "err", err)
		_ = hs.Close() // its error would be that of a connection being cut
	}
	<-served // http.ErrServerClosed
	return nil
}
