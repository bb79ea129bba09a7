package main

import (
	"io"
	"log/slog"

	"scaler.io/scaler/internal/config"
)

// newLogger returns a logger that writes to w as the configuration says.
func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.Level}
	if cfg.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
