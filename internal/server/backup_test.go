package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// serveBackup runs a server that gives out backups until the test ends.
func serveBackup(t *testing.T, log *slog.Logger, write func(io.Writer, string) (int64, error)) *Client {
	t.Helper()
	path := socketPath(t)
	ln := mustListen(t, path)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(&fakeSource{}, log, WithBackup(write)).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return NewClient(path)
}

func TestBackup(t *testing.T) {
	state := bytes.Repeat([]byte("top-secret\x00"), 100_000)
	var log bytes.Buffer
	c := serveBackup(t, slog.New(slog.NewTextHandler(&log, nil)), func(w io.Writer, server string) (int64, error) {
		if server != "" {
			return 0, fmt.Errorf("server %s: %w", server, plan.ErrNotFound)
		}
		n, err := w.Write(state)
		return int64(n), err
	})
	if _, err := c.Backup(t.Context(), "no&such"); !errors.Is(err, plan.ErrNotFound) || !strings.Contains(err.Error(), "no&such") {
		t.Errorf("of a server that there is not: %v", err)
	}
	got, err := c.Backup(t.Context(), "")
	if err != nil || !bytes.Equal(got, state) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(state))
	}
	if strings.Contains(log.String(), "top-secret") || !strings.Contains(log.String(), `msg="state exported" bytes=1100000`) {
		t.Errorf("log = %s, want the export without the secret", log.String())
	}
}

func TestBackupThatFailsIsNoBackup(t *testing.T) {
	c := serveBackup(t, slog.New(slog.DiscardHandler), func(w io.Writer, server string) (int64, error) {
		n, _ := w.Write([]byte("half"))
		return int64(n), errors.New("disk error")
	})
	if got, err := c.Backup(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "disk error") || got != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestBackupIsNotOffered(t *testing.T) {
	c := serve(t, &fakeSource{}, slog.New(slog.DiscardHandler))
	if _, err := c.Backup(t.Context(), ""); !errors.Is(err, plan.ErrNotFound) || !strings.Contains(err.Error(), "no backup") {
		t.Errorf("error = %v", err)
	}
}

func TestBackupIsWholeOrAnError(t *testing.T) {
	path := socketPath(t)
	ln := mustListen(t, path)
	tests := map[string]struct {
		length string
		body   []byte
		want   string
	}{
		"cut off":   {length: "1000", body: []byte("half"), want: "broke"},
		"too large": {body: make([]byte, maxAnswer+1), want: "more than"},
	}
	var answer func(http.ResponseWriter)
	hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	hs.Listener.Close()
	hs.Listener = ln
	hs.Start()
	defer hs.Close()
	for name, tt := range tests {
		answer = func(w http.ResponseWriter) {
			if tt.length != "" {
				w.Header().Set("Content-Length", tt.length)
			}
			_, _ = w.Write(tt.body)
		}
		if got, err := NewClient(path).Backup(t.Context(), ""); err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("%s: %d bytes, %v; want an error with %q", name, len(got), err, tt.want)
		}
	}
}
