package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gitea"
	notifier "scaler.io/scaler/internal/notify"
	"scaler.io/scaler/internal/plan"
)

// toldFile remembers in the state directory what has been told.
const toldFile = "notified.json"

// newNotifier makes what tells others of the events in the journal.
func newNotifier(cfg *config.Config, p parts, log *slog.Logger) (*notifier.Notifier, error) {
	transport, err := gitea.NewTransport(gitea.Options{CAFile: firstServer(cfg).Gitea.TLS.CAFile})
	if err != nil {
		return nil, err
	}
	return notifier.New(notifier.Config{
		Host: hostName(), Instance: p.first().store.Instance(), Version: readBuildInfo().Version,
		Events: p.journal, Status: p.fleet.Status, Memory: filepath.Join(cfg.StateDir, toldFile),
		Transport: transport, Meter: p.delivered, Problem: p.fleet.NoteProblem, Log: log,
	}, notificationTargets(cfg)), nil
}

// hostName is the machine's name, for those who are told of several.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// notificationTargets puts the configuration's notifications into the terms of
// what sends them.
func notificationTargets(cfg *config.Config) []notifier.Target {
	targets := make([]notifier.Target, 0, len(cfg.Notifications))
	for _, n := range cfg.Notifications {
		t := notifier.Target{
			Name: n.Name, URL: n.URL.Read, Method: n.Method, Headers: make(map[string]func() (plan.Secret, error), len(n.Headers)),
			Events: n.Events, Pools: n.Pools, OverdueAfter: n.OverdueAfter, Template: n.Compiled(),
			Batch: n.Batch, RepeatAfter: n.RepeatAfter, Rate: notifier.Rate{Messages: n.Rate.Messages, Per: n.Rate.Per}, Timeout: n.RequestTimeout,
		}
		for name, value := range n.Headers {
			t.Headers[name] = value.Read
		}
		if n.Bearer != nil {
			t.Bearer = n.Bearer.Read
		}
		if n.Secret != nil {
			t.Secret = n.Secret.Read
		}
		targets = append(targets, t)
	}
	return targets
}
