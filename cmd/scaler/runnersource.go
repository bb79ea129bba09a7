package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
)

// completionTimeout is how long a shell may wait for the names of runners.
const completionTimeout = 2 * time.Second

// runnerSource knows the runners: the daemon, or the state that it left.
type runnerSource interface {
	Runners(context.Context) ([]plan.RunnerStatus, error)
	Runner(ctx context.Context, name string) (plan.RunnerStatus, error)
	DotRunner(ctx context.Context, name string) ([]byte, error)
}

// ask puts a question to the daemon or, if none is running, to the state
// directory, and says so.
func ask[T any](cmd *cobra.Command, flags *daemonFlags, question func(context.Context, runnerSource) (T, error)) (T, error) {
	d, err := flags.find(cmd)
	if err != nil {
		return *new(T), err
	}
	answer, err := question(cmd.Context(), d.client)
	if !notRunning(err) || d.stateDir == "" {
		return answer, err
	}
	stored, stateErr := readState(d.stateDir)
	if stateErr != nil {
		return *new(T), fmt.Errorf("%w (and %w)", err, stateErr)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "scaler: no daemon answers at %s: this is what the last one wrote to %s\n", d.client.Path(), d.stateDir)
	return question(cmd.Context(), stored)
}

// storedRunners are the runners of a daemon that is not running.
type storedRunners []state.Record

func readState(dir string) (records storedRunners, err error) {
	s, err := state.OpenReadOnly(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Records()
}

func (s storedRunners) Runners(context.Context) ([]plan.RunnerStatus, error) {
	list := make([]plan.RunnerStatus, len(s))
	for i, r := range s {
		list[i] = r.Status()
		list[i].History = nil // as in the daemon's lists
	}
	return list, nil
}

func (s storedRunners) Runner(_ context.Context, name string) (plan.RunnerStatus, error) {
	r, err := s.find(name)
	return r.Status(), err
}

func (s storedRunners) DotRunner(_ context.Context, name string) ([]byte, error) {
	r, err := s.find(name)
	switch {
	case err != nil:
		return nil, err
	case r.Identity == nil:
		return nil, fmt.Errorf("runner %s: it was never registered", name)
	}
	return register.DotRunner(*r.Identity)
}

func (s storedRunners) find(name string) (state.Record, error) {
	for _, r := range s {
		if r.Name == name {
			return r, nil
		}
	}
	return state.Record{}, fmt.Errorf("runner %s: %w", name, plan.ErrNotFound)
}

// completeRunners offers the names of the daemon's runners to the shell.
func completeRunners(flags *daemonFlags) cobra.CompletionFunc {
	return completeFirst(flags, func(ctx context.Context, c *server.Client) ([]cobra.Completion, error) {
		runners, err := c.Runners(ctx)
		names := make([]cobra.Completion, len(runners))
		for i, r := range runners {
			names[i] = cobra.CompletionWithDesc(r.Name, string(r.Phase))
		}
		return names, err
	})
}

// completeFirst offers what a running daemon knows for the first argument, and
// nothing if none can be asked.
func completeFirst(flags *daemonFlags, list func(context.Context, *server.Client) ([]cobra.Completion, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		d, err := flags.find(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, err := list(ctx, d.client)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
