package giteatest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// BaseURL is a base URL for use with Client. No network is involved: any other
// host would do as well.
const BaseURL = "http://gitea.test"

// ErrDropped is what a Client gets where a network client would find its
// connection closed.
var ErrDropped = errors.New("connection closed by the server")

// Client returns an HTTP client whose requests reach the server directly, with
// no network between them, whatever their host. It suits testing/synctest,
// where time stands still while a socket is read.
func (s *Server) Client() *http.Client {
	return &http.Client{Transport: direct{s}}
}

// direct is an http.RoundTripper that calls a handler.
type direct struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper. It returns at once when the request
// is cancelled; the handler finds that out through its context.
func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	type result struct {
		resp *http.Response
		err  error
	}
	done := make(chan result, 1)
	go func() {
		resp, err := d.serve(req)
		done <- result{resp, err}
	}()
	select {
	case r := <-done:
		return r.resp, r.err
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
}

// serve calls the handler and makes a response of what it wrote.
func (d direct) serve(req *http.Request) (resp *http.Response, err error) {
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:1"
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	out := &buffer{}
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p != http.ErrAbortHandler:
			panic(p)
		case out.flushed:
			resp = out.response(req)
			resp.Body = io.NopCloser(io.MultiReader(&out.body, broken{}))
		default:
			err = ErrDropped
		}
	}()
	d.handler.ServeHTTP(out, in)
	return out.response(req), nil
}

// broken is a body that ends too early.
type broken struct{}

// Read implements io.Reader.
func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// buffer is an http.ResponseWriter that keeps what it gets.
type buffer struct {
	header  http.Header
	status  int
	body    bytes.Buffer
	flushed bool
}

// Header implements http.ResponseWriter.
func (b *buffer) Header() http.Header {
	if b.header == nil {
		b.header = http.Header{}
	}
	return b.header
}

// WriteHeader implements http.ResponseWriter.
func (b *buffer) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

// Write implements http.ResponseWriter.
func (b *buffer) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(p)
}

// Flush implements http.Flusher.
func (b *buffer) Flush() { b.flushed = true }

// copyTo sends what was kept.
func (b *buffer) copyTo(w http.ResponseWriter) {
	for k, v := range b.Header() {
		w.Header()[k] = v
	}
	b.WriteHeader(http.StatusOK)
	w.WriteHeader(b.status)
	_, _ = w.Write(b.body.Bytes()) // the client may be gone
}

// response makes a client's response of what was kept.
func (b *buffer) response(req *http.Request) *http.Response {
	b.WriteHeader(http.StatusOK)
	length := int64(b.body.Len())
	if n, err := strconv.ParseInt(b.Header().Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{
		Status:        strconv.Itoa(b.status) + " " + http.StatusText(b.status),
		StatusCode:    b.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        b.Header(),
		Body:          io.NopCloser(&b.body),
		ContentLength: length,
		Request:       req,
	}
}
