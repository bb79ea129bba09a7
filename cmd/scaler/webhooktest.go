package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/webhook"
)

const (
	// pingTimeout is what Gitea gives a delivery by default.
	pingTimeout  = 5 * time.Second
	arrivalPoll  = 250 * time.Millisecond
	arrivalLimit = 10 * time.Second
)

func newWebhookTestCommand() *cobra.Command {
	var flags webhookFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "test", Short: "See whether events reach the daemon, and what keeps them", Args: cobra.NoArgs,
		Long: `See whether events reach the daemon. First a signed test event is sent to the
daemon's own URL from here. Then the webhooks in Gitea are looked at, and Gitea
is asked to deliver a test event, which its API can do for the webhook of a
repository only. What keeps events is told with what to do about it.

The exit code is 1 if something keeps them.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			site, err := flags.open(cmd)
			if err != nil {
				return err
			}
			transport, err := gitea.NewTransport(gitea.Options{CAFile: site.cfg.Gitea.TLS.CAFile})
			if err != nil {
				return err
			}
			defer transport.CloseIdleConnections()
			t := &webhookTest{webhookSite: site, http: &http.Client{Transport: transport, Timeout: pingTimeout}, wait: wait}
			t.run(cmd.Context())
			if err := t.print(cmd, flags.asJSON); err != nil {
				return err
			}
			for _, f := range t.findings {
				if f.Result == resultFailed {
					return &exitError{exitFailure}
				}
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().DurationVar(&wait, "wait", arrivalLimit, "how `LONG` to wait for what Gitea delivers")
	return cmd
}

// The results of a test.
const (
	resultOK      = "ok"
	resultFailed  = "failed"
	resultUnknown = "unknown"
)

// webhookFinding is what was found out about one thing.
type webhookFinding struct {
	Subject string `json:"subject"`
	Result  string `json:"result"`
	Detail  string `json:"detail"`
	Remedy  string `json:"remedy,omitempty"`
}

// webhookTest looks at the way of an event from its end to its beginning.
type webhookTest struct {
	webhookSite
	http *http.Client
	wait time.Duration
	// watch is the URL by which the daemon says what has arrived; empty if it
	// cannot be reached from here.
	watch    string
	findings []webhookFinding
}

func (t *webhookTest) add(subject, result, detail, remedy string) {
	t.findings = append(t.findings, webhookFinding{subject, result, detail, remedy})
}

func (t *webhookTest) run(ctx context.Context) {
	t.checkReceiver(ctx)
	for _, scope := range t.scopes {
		t.checkScope(ctx, scope)
	}
}

// checkReceiver sends test events to the public URL and, to tell a daemon that
// is not there from a way that does not lead to it, to its own address.
func (t *webhookTest) checkReceiver(ctx context.Context) {
	own := "http://" + dialAddress(t.cfg.Webhook.Listen) + t.cfg.Webhook.Path
	public, publicErr := webhook.Ping(ctx, t.http, t.url, t.secret)
	local, localErr := webhook.Ping(ctx, t.http, own, t.secret)
	switch {
	case publicErr == nil && localErr == nil && !public.Since.Equal(local.Since):
		t.watch = own
		t.add(t.url, resultFailed, "another daemon answers there than at "+own, "correct webhook.public_url, or where its proxy leads to")
		return
	case publicErr == nil:
		t.watch = t.url
		t.add(t.url, resultOK, "the daemon can be reached from here, and the signature is right; "+soFar(public), "")
		return
	case localErr == nil:
		t.watch = own
		t.add(own, resultOK, "the daemon itself answers; "+soFar(local), "")
	case errors.Is(localErr, webhook.ErrSignature):
		t.add(own, resultFailed, brief(localErr), remedyOfSecret)
	default:
		t.add(own, resultFailed, brief(localErr), "see that the daemon runs, and was started with this webhook in its configuration")
	}
	if own != t.url && !(errors.Is(localErr, webhook.ErrSignature) && errors.Is(publicErr, webhook.ErrSignature)) {
		t.add(t.url, resultFailed, brief(publicErr), remedyOfWay(publicErr))
	}
}

// dialAddress is where a listener can be reached from its own host.
func dialAddress(listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// soFar says what a receiver has taken.
func soFar(s webhook.Stats) string {
	if s.Accepted == 0 {
		return "no event has come since it started, at " + clock(s.Since)
	}
	return fmt.Sprintf("%s since it started, the last one at %s", count(int(s.Accepted), "event"), clock(s.LastAccepted))
}

// checkScope looks at the webhook of a scope and has Gitea use it.
func (t *webhookTest) checkScope(ctx context.Context, scope plan.Scope) {
	if id, good := t.checkHook(ctx, scope); good {
		t.deliver(ctx, scope, id)
	}
}

// checkHook looks at the webhook of a scope, and reports what is wrong with it.
func (t *webhookTest) checkHook(ctx context.Context, scope plan.Scope) (id int64, good bool) {
	hooks, err := t.hooks(ctx, scope)
	subject := scope.String()
	const create = "run scaler webhook create"
	switch {
	case err != nil:
		t.add(subject, resultFailed, err.Error(), "")
	case len(hooks) == 0:
		t.add(subject, resultFailed, "no webhook in Gitea sends to "+t.url, create)
	case len(hooks) > 1:
		t.add(subject, resultFailed, fmt.Sprintf("%d webhooks in Gitea send to %s, so each event comes as often", len(hooks), t.url), create)
	case hooks[0].Fault() != "":
		t.add(subject, resultFailed, fmt.Sprintf("webhook %d is not right: %s", hooks[0].ID, hooks[0].Fault()), create)
	default:
		return hooks[0].ID, true
	}
	return 0, false
}

// deliver has Gitea send a test event, and waits until it has come.
func (t *webhookTest) deliver(ctx context.Context, scope plan.Scope, id int64) {
	subject := fmt.Sprintf("%s, webhook %d", scope, id)
	if t.watch == "" {
		t.add(subject, resultUnknown, "not tested, since the daemon cannot tell what arrives", "")
		return
	}
	before, err := webhook.Ping(ctx, t.http, t.watch, t.secret)
	if err != nil {
		t.add(subject, resultUnknown, brief(err), "")
		return
	}
	begin := time.Now()
	switch err := t.client.TestHook(ctx, scope, id); {
	case errors.Is(err, plan.ErrUnsupported) && before.Accepted > 0:
		t.add(subject, resultOK, "Gitea's API cannot test it, but events do come: "+soFar(before), "")
	case errors.Is(err, plan.ErrUnsupported):
		t.add(subject, resultUnknown, "Gitea's API can test only the webhook of a repository, and no event has come yet",
			"run any workflow there and repeat this. If nothing comes: "+t.remedyOfSilence(ctx, scope, id))
	case err != nil:
		t.add(subject, resultFailed, err.Error(), "")
	default:
		t.await(ctx, subject, before, begin, t.remedyOfSilence(ctx, scope, id))
	}
}

// await waits until the daemon has counted more than before.
func (t *webhookTest) await(ctx context.Context, subject string, before webhook.Stats, begin time.Time, remedy string) {
	ctx, cancel := context.WithTimeout(ctx, t.wait)
	defer cancel()
	poll := time.NewTicker(arrivalPoll)
	defer poll.Stop()
	for {
		now, err := webhook.Ping(ctx, t.http, t.watch, t.secret)
		if err == nil && now.Ignored > before.Ignored {
			t.add(subject, resultOK, fmt.Sprintf("Gitea has delivered a test event, after %.1fs", time.Since(begin).Seconds()), "")
			return
		}
		for reason, n := range now.Refused {
			if text, ours := remedies[reason]; ours && n > before.Refused[reason] {
				t.add(subject, resultFailed, "Gitea has delivered a test event, which the daemon refused: "+string(reason), text)
				return
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.add(subject, resultFailed, fmt.Sprintf("Gitea was asked for a test event, and none has arrived within %s", t.wait), remedy)
			return
		}
	}
}

// print prints what was found.
func (t *webhookTest) print(cmd *cobra.Command, asJSON bool) error {
	return show(cmd, asJSON, t.findings, func(b *bytes.Buffer) {
		for _, f := range t.findings {
			wrap(b, fmt.Sprintf("%-8s ", f.Result), clean(f.Subject+": "+f.Detail), 100)
			if f.Remedy != "" {
				wrap(b, "         To do: ", clean(f.Remedy), 100)
			}
		}
	})
}
