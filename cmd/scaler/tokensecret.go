package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"scaler.io/scaler/internal/plan"
)

// reapAfter is how long a runner may be offline unless the flags say
// otherwise.
const reapAfter = 24 * time.Hour

const day = 24 * time.Hour

func newTokenCreateCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	spec := plan.TokenSpec{ReapAfter: reapAfter}
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token and print its secret, this once", Args: cobra.NoArgs,
		Long: `Make a token and print its secret on standard output. It is shown this once: the
daemon keeps only a hash of it.

Unless it is pinned, a token registers one runner and is used up then.`,
		Example: `  scaler token create --name stacks --scope org:acme --pinned --expires 90d
  scaler token create --name build-7 --scope instance --expires 1h > secret`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if spec.MaxUses != 0 && !spec.Pinned {
				return &usageError{"--max-uses is for a --pinned token: any other registers one runner"}
			}
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			made, err := d.client.CreateToken(cmd.Context(), spec)
			if err != nil {
				return err
			}
			return printSecret(cmd, made, asJSON, fmt.Sprintf(`Token %s is made: %s, %s.
Its secret is on standard output and is not shown again. To use it, give a
runner the gateway's public URL as its instance address and the secret as its
registration token:
  gitea-runner register --no-interactive --instance URL --token SECRET
or, for a container, GITEA_INSTANCE_URL and GITEA_RUNNER_REGISTRATION_TOKEN.
See its runners: scaler token show %[1]s
`, made.Token.Name, made.Token.Scope, kind(made.Token)))
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	addSpecFlags(cmd, &spec)
	return cmd
}

// addSpecFlags adds the flags that describe a token. Wrong values are errors of
// usage; what only the daemon can know is left to it.
func addSpecFlags(cmd *cobra.Command, spec *plan.TokenSpec) {
	f := cmd.Flags()
	f.StringVar(&spec.Name, "name", "", "its `NAME`: letters, digits, dash, dot and underscore, 64 at most")
	f.Func("scope", "`SCOPE` of its runners: instance, org:NAME, user:NAME or repo:OWNER/NAME", func(s string) (err error) {
		spec.Scope, err = plan.ParseScope(s)
		return err
	})
	f.BoolVar(&spec.Pinned, "pinned", false, "let it register any number of runners, and not one")
	f.StringVar(&spec.Description, "description", "", "what it is for")
	f.Func("expires", "refuse it after this `TIME` from now, such as 30d, or from this one on, such as 2027-01-31T00:00:00Z", func(s string) (err error) {
		spec.ExpiresAt, err = parseExpiry(s, time.Now())
		return err
	})
	f.Func("max-uses", "let it register at most this `NUMBER` of runners", func(s string) (err error) {
		spec.MaxUses, err = strconv.Atoi(s)
		if err != nil || spec.MaxUses < 1 {
			return errors.New("want a number from 1 on")
		}
		return nil
	})
	f.StringSliceVar(&spec.Labels, "labels", nil, "`LABELS` that its runners may have, with commas between (default any)")
	f.Func("sources", "`NETWORKS` that it is accepted from, such as 10.0.0.0/8, with commas between (default any)", func(s string) error {
		for text := range strings.SplitSeq(s, ",") {
			network, err := netip.ParsePrefix(strings.TrimSpace(text))
			if err != nil {
				return fmt.Errorf("network %q: write it as in 10.0.0.0/8 or 192.0.2.7/32", text)
			}
			spec.Sources = append(spec.Sources, network)
		}
		return nil
	})
	f.Func("reap-after", "deregister a runner that is offline for so `LONG`; 0 is never (default 24h)", func(s string) (err error) {
		spec.ReapAfter, err = parseDuration(s)
		return err
	})
	// They fail only for a flag that there is not.
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.MarkFlagRequired("scope")
}

func newTokenResetCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "reset NAME", Short: "Give a token a new secret and print it, this once", Args: oneToken, ValidArgsFunction: completeTokens(&flags),
		Long: `Give a token a new secret and print it on standard output. The old secret is
refused at once, and uses are counted from 0 again. Runners that came by the
token stay.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			made, err := d.client.ResetToken(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printSecret(cmd, made, asJSON, fmt.Sprintf(`Token %s has a new secret: %s, %s.
It is on standard output and is not shown again. The old one is refused from now
on; the runners that came by it stay.
`, made.Token.Name, kind(made.Token), standing(made.Token, time.Now())))
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// shownSecret is a token with its secret as JSON, in which all is on one level.
type shownSecret struct {
	Secret string `json:"token"`
	plan.Token
}

// printSecret prints a secret alone on standard output, so that it can be piped
// on, and beside it what is to be done with it.
func printSecret(cmd *cobra.Command, made plan.NewToken, asJSON bool, advice string) error {
	secret := made.Secret.Reveal()
	err := show(cmd, asJSON, shownSecret{secret, made.Token}, func(b *bytes.Buffer) { fmt.Fprintln(b, secret) })
	if err != nil {
		return fmt.Errorf("the secret of token %s is lost, scaler token reset makes another: %w", made.Token.Name, err)
	}
	if asJSON {
		return nil
	}
	return printTo(cmd.ErrOrStderr(), []byte(advice))
}

// parseExpiry reads a duration from now on, or a moment. Either must be in the
// future.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		d, err := parseDuration(s)
		if err != nil {
			return time.Time{}, errors.New("want a duration such as 30d or 12h, or a time such as 2027-01-31T00:00:00Z")
		}
		at = now.Add(d).UTC().Truncate(time.Second)
	}
	if !at.After(now) {
		return time.Time{}, errors.New("it is not in the future")
	}
	return at, nil
}

// parseDuration reads a duration of Go that may have days, of 24 hours, before
// it: 30d, 1d12h, 90m.
func parseDuration(s string) (time.Duration, error) {
	wrong := errors.New("want a duration such as 30d, 12h or 90m")
	text, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		text, rest = "0", s
	}
	days, err := strconv.ParseUint(text, 10, 31)
	if err != nil || days >= uint64(math.MaxInt64/day) {
		return 0, wrong
	}
	d := time.Duration(days) * day
	if rest != "" || !hasDays {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 || d+more < d {
			return 0, wrong
		}
		d += more
	}
	return d, nil
}

func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// confirm asks a question and returns nil only if the answer is yes.
func confirm(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	if err := printTo(out, []byte(question)); err != nil {
		return err
	}
	said := make(chan string, 1)
	go func() { // outlives an interrupt, as reading cannot be broken off
		line, _ := bufio.NewReader(in).ReadString('\n') // the end of input is no yes
		said <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-said:
		if line != "y" && line != "yes" {
			return errors.New("not confirmed")
		}
		return nil
	}
}
