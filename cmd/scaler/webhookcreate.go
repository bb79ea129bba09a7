package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

func newWebhookCreateCommand() *cobra.Command {
	var flags webhookFlags
	var replace bool
	cmd := &cobra.Command{
		Use: "create", Short: "Make the webhooks in Gitea, or correct those that are there", Args: cobra.NoArgs,
		Long: `Make in Gitea the webhooks that send events to the daemon, one for the scope of
each pool. A webhook that sends to the same URL already is left as it is if it
is right, and else replaced by a new one. Where the server has no events about
jobs, they are for pushes and pull requests, after which jobs may come.

Gitea tells nobody a webhook's secret, and takes no new one for a webhook that
is there. So after the secret has changed, use --replace.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			site, err := flags.open(cmd)
			if err != nil {
				return err
			}
			outcomes := site.ensure(cmd.Context(), replace)
			if err := printOutcomes(cmd, outcomes, flags.asJSON); err != nil {
				return err
			}
			for _, o := range outcomes {
				if o.Did == hookFailed {
					return &exitError{exitFailure}
				}
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&replace, "replace", false, "put new webhooks in the place of those that are there, with the secret as it is now")
	return cmd
}

// What can become of a webhook.
const (
	hookCreated   = "created"
	hookReplaced  = "replaced"
	hookUnchanged = "unchanged"
	hookFailed    = "failed"
)

// hookOutcome is what has become of the webhook of a scope.
type hookOutcome struct {
	Scope plan.Scope `json:"scope"`
	Did   string     `json:"did"`
	ID    int64      `json:"id,omitempty"`
	URL   string     `json:"url"`
	Why   string     `json:"why,omitempty"`
}

// ensure sees to it that each scope has one webhook that is right, and goes on
// with the others if one fails. It cannot see whether the secret of one that is
// there is right; with replace each gets it anew.
func (s webhookSite) ensure(ctx context.Context, replace bool) []hookOutcome {
	outcomes := make([]hookOutcome, 0, len(s.scopes))
	for _, scope := range s.scopes {
		o, err := s.ensureOne(ctx, scope, replace)
		if err != nil {
			o.Did, o.Why = hookFailed, err.Error()
		}
		o.Scope, o.URL = scope, s.url
		outcomes = append(outcomes, o)
	}
	return outcomes
}

func (s webhookSite) ensureOne(ctx context.Context, scope plan.Scope, replace bool) (hookOutcome, error) {
	hooks, err := s.hooks(ctx, scope)
	if err != nil {
		return hookOutcome{}, err
	}
	if len(hooks) == 0 {
		h, err := s.client.CreateHook(ctx, scope, s.url, s.secret)
		return hookOutcome{Did: hookCreated, ID: h.ID}, err
	}
	why := hooks[0].Fault()
	switch {
	case replace:
		why = "it has the secret as it is now"
	case len(hooks) > 1:
		why = fmt.Sprintf("there were %d of them", len(hooks))
	case why == "":
		return hookOutcome{Did: hookUnchanged, ID: hooks[0].ID}, nil
	}
	h, err := s.client.UpdateHook(ctx, scope, hooks[0].ID, s.url, s.secret)
	if h.ID == 0 {
		return hookOutcome{}, err
	}
	for _, other := range hooks[1:] {
		if gone := s.client.DeleteHook(ctx, scope, other.ID); err == nil && !errors.Is(gone, plan.ErrNotFound) {
			err = gone
		}
	}
	return hookOutcome{Did: hookReplaced, ID: h.ID, Why: why}, err
}

// hooks lists those of the scope that send to the daemon.
func (s webhookSite) hooks(ctx context.Context, scope plan.Scope) ([]gitea.Hook, error) {
	all, err := s.client.Hooks(ctx, scope)
	var ours []gitea.Hook
	for _, h := range all {
		if h.URL == s.url {
			ours = append(ours, h)
		}
	}
	return ours, err
}

// printOutcomes prints what has become of the webhooks.
func printOutcomes(cmd *cobra.Command, outcomes []hookOutcome, asJSON bool) error {
	return show(cmd, asJSON, outcomes, func(b *bytes.Buffer) {
		rows := [][]string{{"SCOPE", "WEBHOOK", "ID", "WHY"}}
		for _, o := range outcomes {
			id := ""
			if o.ID != 0 {
				id = fmt.Sprint(o.ID)
			}
			rows = append(rows, []string{o.Scope.String(), o.Did, orDash(id), orDash(clean(o.Why))})
		}
		fmt.Fprintf(b, "Events are sent to %s.\n", outcomes[0].URL)
		table(b, rows)
	})
}
