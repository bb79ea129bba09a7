package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

func TestWebhooksAreMadeAtTheStart(t *testing.T) {
	r := newHookRig(t)
	r.serve(t)
	path := r.config(t, "http://"+r.listen, "org:acme")
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	client, err := gitea.New(giteaOptions(cfg, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(r.dir, "webhook-secret"), filepath.Join(r.dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if tryHooks(t.Context(), cfg, client, logger) || !strings.Contains(log.String(), "webhooks not made, polls go on") {
		t.Errorf("without a secret it is done:\n%s", &log)
	}
	if err := os.Rename(filepath.Join(r.dir, "elsewhere"), filepath.Join(r.dir, "webhook-secret")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"created", ""} { // the second time there is nothing to do, nor to say
		log.Reset()
		if !tryHooks(t.Context(), cfg, client, logger) {
			t.Errorf("not done:\n%s", &log)
		}
		if got := log.String(); want == "" && got != "" || !strings.Contains(got, want) || strings.Contains(got, hookSecret) {
			t.Errorf("log %q, want %q", got, want)
		}
	}
	hooks, err := client.Hooks(t.Context(), plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"})
	if err != nil || len(hooks) != 1 {
		t.Errorf("hooks %+v, %v; want one", hooks, err)
	}
}

func TestWebhooksAreTriedAgainMoreAndMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := &config.Config{Webhook: &config.Webhook{}} // its secret cannot be read
		var log bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 2*hookRetryMax)
		defer cancel()
		makeHooks(ctx, cfg, nil, slog.New(slog.NewTextHandler(&log, nil)))
		if n := strings.Count(log.String(), "webhooks not made"); n < 7 || n > 10 {
			t.Errorf("%d tries in %s", n, 2*hookRetryMax)
		}
	})
}
