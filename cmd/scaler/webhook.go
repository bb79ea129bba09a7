package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

func newWebhookCommand() *cobra.Command {
	group := newGroup("webhook", "Make and test the webhooks by which Gitea tells of jobs", newWebhookCreateCommand(), newWebhookTestCommand())
	group.Long = `Make and test the webhooks by which Gitea tells the daemon of jobs.

The daemon works without them: it asks Gitea for jobs by itself, and an event
only makes it do so at once. Both commands read the configuration, with its
section webhook.`
	return group
}

// webhookFlags say which webhooks a command is about.
type webhookFlags struct {
	config string
	server string
	scopes []plan.Scope
	asJSON bool
}

func (f *webhookFlags) add(cmd *cobra.Command) {
	addConfigFlag(cmd, &f.config)
	addServerFlag(cmd, &f.server, "whose webhook it is")
	addJSONFlag(cmd, &f.asJSON)
	cmd.Flags().Func("scope", "`SCOPE` of the webhook: instance, org:NAME, user:NAME or repo:OWNER/NAME; may be repeated (default those of the pools)", func(s string) error {
		scope, err := plan.ParseScope(s)
		f.scopes = append(f.scopes, scope)
		return err
	})
}

// webhookSite is where the webhooks of a configuration are, and what they are
// to be.
type webhookSite struct {
	cfg    *config.Config
	client *gitea.Client
	url    string
	secret plan.Secret
	scopes []plan.Scope
}

// open reads the configuration. It asks nobody anything.
func (f *webhookFlags) open(cmd *cobra.Command) (webhookSite, error) {
	cfg, err := loadFor(f.config, f.server)
	if err != nil {
		return webhookSite{}, err
	}
	if cfg.Webhook == nil {
		return webhookSite{}, fmt.Errorf("%s has no webhook: add the section with listen, public_url and secret", f.config)
	}
	client, err := gitea.New(giteaOptions(cfg, newLogger(cfg.Log, cmd.ErrOrStderr())))
	if err != nil {
		return webhookSite{}, err
	}
	site, err := newWebhookSite(cfg, client)
	if err != nil {
		return webhookSite{}, err
	}
	if len(f.scopes) > 0 {
		site.scopes = f.scopes
	}
	if len(site.scopes) == 0 {
		return webhookSite{}, errors.New("there is no pool, whose scope would need a webhook: name one with --scope")
	}
	return site, nil
}

// newWebhookSite returns the site of a configuration that has a webhook. The
// scopes are those of its pools.
func newWebhookSite(cfg *config.Config, client *gitea.Client) (webhookSite, error) {
	secret, err := cfg.Webhook.Secret.Read()
	if err != nil {
		return webhookSite{}, fmt.Errorf("webhook.secret: %w", err)
	}
	return webhookSite{
		cfg: cfg, client: client, secret: secret, scopes: poolScopes(cfg),
		url: strings.TrimRight(cfg.Webhook.PublicURL, "/") + cfg.Webhook.Path,
	}, nil
}

// poolScopes are the scopes of the pools, each once, without those whose events
// come with those of a wider one.
func poolScopes(cfg *config.Config) []plan.Scope {
	of := make(map[string]plan.Scope, len(cfg.RegistrationTokens))
	for _, t := range cfg.RegistrationTokens {
		of[t.Name] = t.Scope
	}
	var scopes []plan.Scope
	for _, p := range cfg.Pools {
		scopes = addScope(scopes, of[p.RegistrationToken])
	}
	return scopes
}

// addScope adds a scope unless one of the others includes it, and takes those
// away that it includes.
func addScope(scopes []plan.Scope, s plan.Scope) []plan.Scope {
	var kept []plan.Scope
	for _, other := range scopes {
		if includes(other, s) {
			return scopes
		}
		if !includes(s, other) {
			kept = append(kept, other)
		}
	}
	return append(kept, s)
}

// includes reports whether each event of a scope is one of the wider too.
// Gitea's names are case-insensitive.
func includes(wider, s plan.Scope) bool {
	switch {
	case wider.Kind == plan.ScopeInstance || strings.EqualFold(wider.String(), s.String()):
		return true
	case wider.Kind == plan.ScopeRepo || s.Kind != plan.ScopeRepo:
		return false
	}
	return wider.Covers(s.Owner + "/" + s.Repo)
}
