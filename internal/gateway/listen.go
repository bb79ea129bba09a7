package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// TLSFiles are a certificate and its key, both in PEM form.
type TLSFiles struct {
	Cert, Key string
	// Log gets what happens when the files change; nil is slog.Default().
	Log *slog.Logger
}

// reloadInterval is how often the files are looked at, at most.
const reloadInterval = time.Second

// Listen opens a TCP address, for plain HTTP without files and for TLS 1.2 or
// newer with them. The files are read again once they have changed; a pair
// that cannot be used is logged, and the one before it stays in use. The error
// has the name of the file that it is about.
func Listen(addr string, files *TLSFiles) (net.Listener, error) {
	var config *tls.Config
	if files != nil {
		pair, err := newKeyPair(*files)
		if err != nil {
			return nil, err
		}
		config = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			NextProtos:     []string{"h2", "http/1.1"},
			GetCertificate: pair.get,
		}
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open address %s: %w", addr, err)
	}
	if config == nil {
		return l, nil
	}
	return tls.NewListener(l, config), nil
}

// keyPair is a certificate that follows its files.
type keyPair struct {
	files TLSFiles
	log   *slog.Logger

	mu     sync.Mutex // guards all below
	cert   *tls.Certificate
	loaded stamp     // of the files that cert is from
	seen   time.Time // when the files were looked at last
	fault  string    // what was wrong with them then
}

func newKeyPair(files TLSFiles) (*keyPair, error) {
	p := &keyPair{files: files, log: files.Log, seen: time.Now()}
	if p.log == nil {
		p.log = slog.Default()
	}
	now, err := stampOf(files)
	if err != nil {
		return nil, err
	}
	if p.cert, err = load(files); err != nil {
		return nil, err
	}
	p.loaded = now
	return p, nil
}

// get is a tls.Config's GetCertificate. It has no error, since there always is
// a certificate that was good once.
func (p *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.seen) >= reloadInterval {
		p.seen = now
		p.reload()
	}
	return p.cert, nil
}

// reload takes the files over if they have changed and fit together, and logs
// each fault once. The caller holds p.mu.
func (p *keyPair) reload() {
	now, err := stampOf(p.files)
	if err == nil && now.equal(p.loaded) {
		p.fault = ""
		return
	}
	var cert *tls.Certificate
	if err == nil {
		cert, err = load(p.files)
	}
	switch {
	case err == nil:
		p.cert, p.loaded, p.fault = cert, now, ""
		p.log.Info("certificate reloaded", "file", p.files.Cert, "valid_until", cert.Leaf.NotAfter)
	case err.Error() != p.fault:
		p.fault = err.Error()
		p.log.Warn("certificate not reloaded", "err", err)
	}
}

// stamp is by what a change of the two files is seen.
type stamp [2]os.FileInfo

// stampOf looks at the files. Links are followed, since some are renewed by a
// new link.
func stampOf(files TLSFiles) (s stamp, err error) {
	for i, name := range []string{files.Cert, files.Key} {
		if s[i], err = os.Stat(name); err != nil {
			return stamp{}, fmt.Errorf("look at TLS file: %w", err)
		}
	}
	return s, nil
}

func (s stamp) equal(t stamp) bool {
	for i := range s {
		if !os.SameFile(s[i], t[i]) || s[i].Size() != t[i].Size() || !s[i].ModTime().Equal(t[i].ModTime()) {
			return false
		}
	}
	return true
}

// load reads the pair.
func load(files TLSFiles) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	var file *os.PathError // has the name
	switch {
	case errors.As(err, &file):
		return nil, fmt.Errorf("read TLS file: %w", err)
	case err != nil:
		return nil, fmt.Errorf("read TLS files %s and %s: %w", files.Cert, files.Key, err)
	}
	return &cert, nil
}

// serve is Serve with the front's limits.
func (f *front) serve(ctx context.Context, l net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // for gRPC without TLS
	hs := &http.Server{
		Handler:           f,
		Protocols:         protocols,
		ReadHeaderTimeout: f.limits.header,
		IdleTimeout:       f.limits.idle,
		MaxHeaderBytes:    maxHeader,
		// What is under way when ctx ends may finish.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:    newServerLog(f.log),
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve gateway: %w", err), hs.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.limits.shutdown)
	defer cancel()
	if err := hs.Shutdown(grace); err != nil {
		f.log.Warn("gateway's requests cut off", "err", err)
		hs.Close() // its error would be that of a connection being cut
	}
	<-served // http.ErrServerClosed
	return nil
}

// serverLog takes the lines of an http.Server. Anybody can have it write that a
// handshake failed.
type serverLog struct{ log *slog.Logger }

func newServerLog(to *slog.Logger) *log.Logger { return log.New(serverLog{to}, "", 0) }

// Write implements io.Writer.
func (s serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(line, []byte("TLS handshake error")) {
		level = slog.LevelDebug
	}
	s.log.Log(context.Background(), level, "gateway's listener", "err", string(bytes.TrimSpace(line)))
	return len(line), nil
}
