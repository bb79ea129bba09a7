package main

import (
	"io"
	"log/slog"

	"scaler.io/scaler/internal/config"
)

// newLogger returns a logger that writes to w as the configuration says.
func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	return newLeveledLogger(cfg.Format, cfg.Level, w)
}

// newLeveledLogger is newLogger with a level that may change.
func newLeveledLogger(format config.LogFormat, level slog.Leveler, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
