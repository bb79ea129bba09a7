package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

// askWebhook asks whether Gitea is to tell of jobs.
func (s *setUp) askWebhook(ctx context.Context) error {
	a := &s.answers
	was := (*config.Webhook)(nil)
	if s.was.cfg != nil {
		was = s.was.cfg.Webhook
	}
	if s.flags.webhook == "" {
		if was == nil && s.can.Jobs && !s.can.JobEvents {
			return nil // the polls find all that there is
		}
		wants, err := s.confirm(ctx, question{text: "Make a webhook, by which Gitea tells of jobs", flag: "webhook-url",
			def:  map[bool]string{true: "yes", false: "no"}[was != nil || !s.can.Jobs && !s.flags.yes],
			help: whatWebhookBrings(s.can) + "\nThe server has to reach this host for it, and its ALLOWED_HOST_LIST has to allow that."})
		if err != nil || !wants {
			return err
		}
	}
	def := ""
	if host := outboundHost(hostPort(a.InternalURL)); host != "" {
		def = "http://" + net.JoinHostPort(host, "8089")
	}
	if was != nil {
		def = was.PublicURL
	}
	answer, err := s.ask(ctx, question{text: "URL under which Gitea reaches this host", flag: "webhook-url", given: s.flags.webhook, def: def, check: checkURL,
		help: "The address of this host as Gitea's host sees it, with a port that is free here."})
	if err != nil {
		return err
	}
	a.WebhookURL = strings.TrimRight(answer, "/")
	def = ":8089"
	if port := portOf(a.WebhookURL); port != "" {
		def = ":" + port
	}
	if was != nil && s.flags.webhook == "" {
		def = was.Listen
	}
	a.WebhookListen, err = s.ask(ctx, question{text: "Address to listen on for it", flag: "webhook-listen", given: s.flags.webhookListen, def: def,
		help: "HOST:PORT, or :PORT for all addresses of this host.",
		check: func(text string) error {
			if _, _, err := net.SplitHostPort(text); err != nil {
				return errors.New("write HOST:PORT or :PORT")
			}
			return nil
		}})
	if err == nil && was != nil {
		a.WebhookSecret, _ = was.Secret.Read() // else a new one is made
	}
	return err
}

// whatWebhookBrings says why a webhook is worth it with a server.
func whatWebhookBrings(caps plan.Capabilities) string {
	switch {
	case caps.Jobs:
		return "scaler asks the server each second in any case, so a job waits a second longer without it at most."
	case caps.JobEvents:
		return "This server tells of jobs by a webhook only: without it each pool keeps a runner ready all the time."
	}
	return "This server does not tell of jobs. With a webhook each pool keeps a runner ready for a while after something was\npushed, without it all the time."
}

// makeHook makes the webhook at Gitea. Without it the polls do, so a failure is
// told and no more.
func (s *setUp) makeHook(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	client, err := gitea.New(giteaOptions(cfg, nil))
	if err != nil {
		return err
	}
	site, err := newWebhookSite(cfg, client)
	if err != nil {
		return err
	}
	for _, o := range site.ensure(ctx, true) {
		line := fmt.Sprintf("  Webhook of %s: %s, sends to %s\n", o.Scope, o.Did, o.URL)
		if o.Did == hookFailed {
			line = fmt.Sprintf("  Webhook of %s: not made: %s\n  The polls do without it; scaler webhook create tries again.\n", o.Scope, clean(o.Why))
		}
		if err := s.say("%s", line); err != nil {
			return err
		}
	}
	return nil
}
