package server

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// readForm returns the fields of a form. If it cannot be read it has answered
// why, and nothing is to be done.
func (web *Web) readForm(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		web.renderMessage(w, r, http.StatusUnsupportedMediaType, message{Title: "Not a form", Text: "This address takes a form that was sent by its page."})
		return nil, false
	}
	err = r.ParseForm()
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		web.renderMessage(w, r, http.StatusRequestEntityTooLarge, message{Title: "Too much text", Text: "The form has more than 64 KiB. Nothing was changed."})
		return nil, false
	}
	if err != nil || !validText(r.PostForm) {
		web.renderMessage(w, r, http.StatusBadRequest, message{Title: "Not a form", Text: "The form could not be read. Nothing was changed."})
		return nil, false
	}
	return r.PostForm, true
}

// validText reports whether all that is in a form is text.
func validText(form url.Values) bool {
	for key, values := range form {
		invalid := func(v string) bool { return !utf8.ValidString(v) }
		if invalid(key) || slices.ContainsFunc(values, invalid) {
			return false
		}
	}
	return true
}

// maxSent bounds how many sent forms are remembered.
const maxSent = 10_000

// sentForms remembers the forms that were sent. Each has a number of its own,
// and what it does is done once: reloading the answer, for which a browser
// sends the form again, changes nothing.
type sentForms struct {
	mu   sync.Mutex
	sent map[string]time.Time
}

func newSentForms() *sentForms {
	return &sentForms{sent: make(map[string]time.Time)}
}

// first reports whether the form with this number has not been sent before. A
// form without a number has.
func (f *sentForms) first(number string) bool {
	if len(number) != randomLength {
		return false
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, again := f.sent[number]; again {
		return false
	}
	if len(f.sent) >= maxSent {
		f.forget(now)
	}
	f.sent[number] = now
	return true
}

// forget drops the forms of logins that have ended, or at least the oldest one.
func (f *sentForms) forget(now time.Time) {
	var oldest string
	for number, at := range f.sent {
		if now.Sub(at) >= sessionTime {
			delete(f.sent, number)
		} else if oldest == "" || at.Before(f.sent[oldest]) {
			oldest = number
		}
	}
	if len(f.sent) >= maxSent {
		delete(f.sent, oldest)
	}
}
