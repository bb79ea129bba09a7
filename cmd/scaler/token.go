package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

func newTokenCommand() *cobra.Command {
	group := newGroup("token", "Make and manage registration tokens for runners",
		newTokenCreateCommand(), newTokenListCommand(), newTokenShowCommand(),
		newTokenChangeCommand("pin", "Make a token reusable, so that it registers any number of runners", plan.TokenPin),
		newTokenChangeCommand("unpin", "Make a token single use, so that it registers one runner", plan.TokenUnpin),
		newTokenChangeCommand("enable", "Accept a token that was disabled", plan.TokenEnable),
		newTokenChangeCommand("disable", "Refuse a token until it is enabled; its runners stay", plan.TokenDisable),
		newTokenResetCommand(), newTokenDeleteCommand(), newTokenRevokeCommand(), newTokenAuditCommand(),
	)
	group.Long = `Make and manage the registration tokens of the daemon's gateway.

A runner that registers at the gateway with one of them is registered in Gitea
with the daemon's own registration token of that scope. Every change counts from
the next request on.`
	return group
}

// newTokenChangeCommand returns a command that makes one change and says what
// the token is then.
func newTokenChangeCommand(use, short string, change plan.TokenChange) *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: use + " NAME", Short: short, Args: oneToken, ValidArgsFunction: completeTokens(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			t, err := d.client.ChangeToken(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, t, func(b *bytes.Buffer) {
				fmt.Fprintf(b, "Token %s: %s, %s.\n", t.Name, kind(t), standing(t, time.Now()))
			})
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// endedToken is what becomes of a token that is deleted or revoked, and of the
// runners that came by it, as JSON.
type endedToken struct {
	Name string `json:"name"`
	// Ended is deleted or revoked.
	Ended string `json:"ended"`
	// Staying runners stay registered; Leaving ones are deregistered, each after
	// its job.
	Staying int `json:"staying"`
	Leaving int `json:"leaving"`
}

func newTokenDeleteCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Forget a token; its runners stay", Args: oneToken, ValidArgsFunction: completeTokens(&flags),
		Long: `Forget a token. It is refused from then on.

Runners that came by it stay registered and go on taking jobs. To be rid of them
as well, revoke the token first.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			_, runners, err := d.client.Token(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := d.client.DeleteToken(cmd.Context(), args[0]); err != nil {
				return err
			}
			ended := deleted(args[0], staying(runners))
			return show(cmd, asJSON, ended, func(b *bytes.Buffer) { writeDeleted(b, ended) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// deleted counts what becomes of a token's runners. Those that are leaving
// already do not stay because it is deleted.
func deleted(name string, runners []plan.Enrolment) endedToken {
	ended := endedToken{Name: name, Ended: "deleted"}
	for _, r := range runners {
		if r.Leaving != "" {
			ended.Leaving++
		} else {
			ended.Staying++
		}
	}
	return ended
}

// writeDeleted says for people what has become of a deleted token's runners.
func writeDeleted(b *bytes.Buffer, e endedToken) {
	said := ""
	if e.Staying > 0 {
		said += "; what came by it stays registered: " + count(e.Staying, "runner")
	}
	if e.Leaving > 0 {
		said += "; still deregistered after its job: " + count(e.Leaving, "runner")
	}
	if said == "" {
		said = "; no runner is left that came by it"
	}
	fmt.Fprintf(b, "Token %s is deleted%s.\n", e.Name, said)
}

func newTokenRevokeCommand() *cobra.Command {
	var flags daemonFlags
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "Refuse a token for good and deregister its runners", Args: oneToken, ValidArgsFunction: completeTokens(&flags),
		Long: `Refuse a token for good and deregister every runner that came by it. A runner
gets no more jobs at once, and is deregistered when the job that it has is done.

It cannot be undone, so it is asked for on a terminal. Elsewhere --yes is
required.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes && !isTerminal(cmd.InOrStdin()) {
				return &usageError{"revoke needs --yes where nobody can be asked"}
			}
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			_, runners, err := d.client.Token(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			ended := endedToken{Name: args[0], Ended: "revoked", Leaving: len(staying(runners))}
			if !yes {
				question := fmt.Sprintf("Revoke token %s for good, and deregister %s that came by it? [y/N] ", args[0], count(ended.Leaving, "runner"))
				if err := confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), question); err != nil {
					return fmt.Errorf("revoke token %s: %w", args[0], err)
				}
			}
			if _, err := d.client.ChangeToken(cmd.Context(), args[0], plan.TokenRevoke); err != nil {
				return err
			}
			return show(cmd, asJSON, ended, func(b *bytes.Buffer) { writeRevoked(b, ended) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// writeRevoked says for people what becomes of a revoked token's runners.
func writeRevoked(b *bytes.Buffer, e endedToken) {
	if e.Leaving == 0 {
		fmt.Fprintf(b, "Token %s is revoked; no runner is left that came by it.\n", e.Name)
		return
	}
	fmt.Fprintf(b, "Token %s is revoked; what came by it is deregistered, each after its job: %s.\nSee them go: scaler token show %s\n",
		e.Name, count(e.Leaving, "runner"), e.Name)
}

func newTokenListCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the tokens, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			tokens, err := d.client.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, asJSON, tokens, func(b *bytes.Buffer) { writeTokens(b, tokens, time.Now()) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// shownToken is a token with its runners as JSON.
type shownToken struct {
	Token   plan.Token       `json:"token"`
	Runners []plan.Enrolment `json:"runners"`
}

func newTokenShowCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show a token and the runners that came by it", Args: oneToken, ValidArgsFunction: completeTokens(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			t, runners, err := d.client.Token(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return show(cmd, asJSON, shownToken{t, runners}, func(b *bytes.Buffer) { writeToken(b, t, runners, time.Now()) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// oneToken checks that exactly one token is named.
func oneToken(_ *cobra.Command, args []string) error {
	switch {
	case len(args) != 1:
		return fmt.Errorf("want the name of one token, got %d", len(args))
	case args[0] == "":
		return errors.New("want the name of one token, got an empty one")
	}
	return nil
}

// completeTokens offers the names of the daemon's tokens to the shell.
func completeTokens(flags *daemonFlags) cobra.CompletionFunc {
	return completeFirst(flags, func(ctx context.Context, c *server.Client) ([]cobra.Completion, error) {
		tokens, err := c.Tokens(ctx)
		names := make([]cobra.Completion, len(tokens))
		for i, t := range tokens {
			names[i] = cobra.CompletionWithDesc(t.Name, string(t.State(time.Now())))
		}
		return names, err
	})
}
