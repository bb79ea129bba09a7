package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gitea"
	notifier "scaler.io/scaler/internal/notify"
	"scaler.io/scaler/internal/plan"
)

// notificationTestTime bounds the test of one target.
const notificationTestTime = time.Minute

func newNotifyCommand() *cobra.Command {
	group := newGroup("notify", "Try the notifications of the configuration", newNotifyTestCommand())
	group.Long = `Try the notifications of the configuration.

The daemon sends them by itself: see the section notifications of the
configuration file. It need not run for a test.`
	return group
}

// notifyTest is a test of targets.
type notifyTest struct {
	config    string
	event     string
	print     bool
	asJSON    bool
	transport http.RoundTripper
}

// notifyResult is what came of one target's test.
type notifyResult struct {
	Target string  `json:"target"`
	Sent   bool    `json:"sent"`
	Status int     `json:"status,omitempty"` // of the answer
	Answer string  `json:"answer,omitempty"`
	Error  string  `json:"error,omitempty"`
	Took   float64 `json:"seconds"`
	Body   string  `json:"body,omitempty"` // with --print
}

func newNotifyTestCommand() *cobra.Command {
	var t notifyTest
	cmd := &cobra.Command{
		Use: "test [NAME]", Short: "Send a sample to one target, or to all, and show the answer", Args: cobra.MaximumNArgs(1),
		Long: `Send a sample to one target, or to all, and show the answer. It is made, signed
and sent as the daemon would, but only once, and says that it is a test.

Of the events that the target is told the sample has the first one, or the one
of --event. With --print nothing is sent: what would be is printed.

The exit code is 1 if one could not be sent.`,
		Example: `  scaler notify test
  scaler notify test slack --event job_overdue
  scaler notify test slack --print`,
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd, args) },
	}
	cmd.ValidArgsFunction = t.complete
	addConfigFlag(cmd, &t.config)
	addJSONFlag(cmd, &t.asJSON)
	cmd.Flags().StringVar(&t.event, "event", "", "`KIND` of the event, as in events of the configuration")
	cmd.Flags().BoolVar(&t.print, "print", false, "print what would be sent, and send nothing")
	return cmd
}

func (t *notifyTest) run(cmd *cobra.Command, args []string) error {
	cfg, err := config.Load(t.config)
	if err != nil {
		return err
	}
	targets, err := pickTargets(t.config, notificationTargets(cfg), args)
	if err != nil {
		return err
	}
	transport, err := gitea.NewTransport(gitea.Options{CAFile: firstServer(cfg).Gitea.TLS.CAFile})
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	t.transport = transport
	var results []notifyResult
	failed := false
	for _, target := range targets {
		result, err := t.try(cmd.Context(), target)
		if err != nil {
			return err
		}
		failed = failed || result.Error != ""
		results = append(results, result)
	}
	if err := t.show(cmd, results); err != nil {
		return err
	}
	if failed {
		return &exitError{exitFailure}
	}
	return nil
}

// complete completes the names of targets.
func (t *notifyTest) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if cfg, err := config.Load(t.config); err == nil && len(args) == 0 {
		for _, n := range cfg.Notifications {
			names = append(names, n.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// pickTargets returns the targets that are meant.
func pickTargets(path string, targets []notifier.Target, names []string) ([]notifier.Target, error) {
	if len(targets) == 0 {
		return nil, fmt.Errorf("%s has no notifications: add one with name and url", path)
	}
	if len(names) == 0 {
		return targets, nil
	}
	var known []string
	for _, target := range targets {
		if target.Name == names[0] {
			return []notifier.Target{target}, nil
		}
		known = append(known, target.Name)
	}
	return nil, fmt.Errorf("there is no notification %q: name one of %s", names[0], strings.Join(known, ", "))
}

// try sends the sample to one target.
func (t *notifyTest) try(ctx context.Context, target notifier.Target) (notifyResult, error) {
	kind := target.Events[0]
	if t.event != "" {
		kind = plan.EventKind(t.event)
		if !slices.Contains(target.Events, kind) {
			return notifyResult{}, &usageError{fmt.Sprintf("--event %s: notification %s is not told of it: give one of %s", t.event, target.Name, joinKinds(target.Events))}
		}
	}
	notice := plan.SampleNotice(kind)
	notice.ID, notice.At, notice.Host, notice.Version = uuid.NewString(), time.Now().UTC(), hostName(), readBuildInfo().Version
	notice.Events[0].At, notice.Events[0].Text = notice.At, "this is a sample, nothing has happened"
	result := notifyResult{Target: target.Name}
	if t.print {
		body, err := target.Template.Render(notice)
		if err != nil {
			return result, fmt.Errorf("make notification %s of its template: %w", target.Name, err)
		}
		result.Body = string(body)
		return result, nil
	}
	ctx, cancel := context.WithTimeout(ctx, notificationTestTime)
	defer cancel()
	began := time.Now()
	answer, err := notifier.Send(ctx, t.transport, target, notice)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return result, err
	}
	result.Took = time.Since(began).Seconds()
	result.Status, result.Answer, result.Sent = answer.Status, answer.Body, err == nil && !answer.Nothing
	switch {
	case err != nil:
		result.Error = err.Error()
	case answer.Nothing:
		result.Answer = "nothing was sent: the template gives nothing for this event"
	}
	return result, nil
}

func joinKinds(kinds []plan.EventKind) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return strings.Join(words, ", ")
}

// show prints the results.
func (t *notifyTest) show(cmd *cobra.Command, results []notifyResult) error {
	if t.asJSON {
		return printJSON(cmd.OutOrStdout(), results)
	}
	var b bytes.Buffer
	for _, r := range results {
		switch {
		case t.print:
			if len(results) > 1 {
				fmt.Fprintf(&b, "--- %s\n", r.Target)
			}
			fmt.Fprintf(&b, "%s\n", r.Body)
		case r.Error != "":
			wrap(&b, fmt.Sprintf("%-8s ", "failed"), clean(r.Target+": "+r.Error), textWidth)
		case r.Sent:
			line := fmt.Sprintf("%s: %d %s after %.2fs", r.Target, r.Status, http.StatusText(r.Status), r.Took)
			if r.Answer != "" {
				line += ": " + r.Answer
			}
			wrap(&b, fmt.Sprintf("%-8s ", "sent"), clean(line), textWidth)
		default:
			wrap(&b, fmt.Sprintf("%-8s ", "not sent"), clean(r.Target+": "+r.Answer), textWidth)
		}
	}
	return printTo(cmd.OutOrStdout(), b.Bytes())
}
