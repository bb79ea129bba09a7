package main

import (
	"context"
	"log/slog"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gitea"
)

// Pace of the tries to make the webhooks at the start.
const (
	hookTimeout  = time.Minute
	hookRetryMin = 5 * time.Second
	hookRetryMax = 10 * time.Minute
)

// makeHooks makes the webhooks that the configuration asks for, and tries
// again, more and more slowly, until all are there or ctx ends. Without them
// the polls do.
func makeHooks(ctx context.Context, cfg *config.Config, client *gitea.Client, log *slog.Logger) {
	for wait := hookRetryMin; ; wait = min(2*wait, hookRetryMax) {
		if tryHooks(ctx, cfg, client, log) {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func tryHooks(ctx context.Context, cfg *config.Config, client *gitea.Client, log *slog.Logger) (done bool) {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	site, err := newWebhookSite(cfg, client)
	if err != nil {
		log.Warn("webhooks not made, polls go on", "err", err)
		return false
	}
	done = true
	for _, o := range site.ensure(ctx, false) {
		switch o.Did {
		case hookFailed:
			done = false
			log.Warn("webhook not made, polls go on", "scope", o.Scope.String(), "err", o.Why)
		case hookUnchanged:
			log.Debug("webhook is there", "scope", o.Scope.String(), "id", o.ID)
		default:
			log.Info("webhook made", "scope", o.Scope.String(), "id", o.ID, "url", o.URL, "did", o.Did)
		}
	}
	return done
}
