package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/server"
)

// Exit codes. They are part of the interface: see the help of the root command.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// failure is an error of a command's work. Every other error that cobra
// returns is one of usage: an unknown command or flag, or wrong arguments.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usageError is an error of usage that shows only when a command looks at its
// flags together.
type usageError struct{ message string }

func (u *usageError) Error() string { return u.message }

// exitError ends the process with a code after the command itself has said
// all that is to be said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// markFailures makes the errors of all commands' work recognisable.
func markFailures(cmd *cobra.Command) {
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := work(cmd, args); err != nil {
				return &failure{err}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		markFailures(child)
	}
}

// exitCode maps the error of a command to the process's exit code.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	_, failed := errors.AsType[*failure](err)
	_, usage := errors.AsType[*usageError](err)
	switch {
	case usage || !failed:
		return exitUsage
	case errors.Is(err, server.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailure
}

// report prints the error of a command. The problems of a configuration
// stand alone, one a line, so that editors can jump to them.
func report(w io.Writer, cmd *cobra.Command, err error) {
	if _, silent := errors.AsType[*exitError](err); silent || err == nil {
		return
	}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		fmt.Fprintln(w, problems)
		return
	}
	fmt.Fprintf(w, "scaler: %v\n", err)
	if exitCode(err) == exitUsage {
		fmt.Fprintf(w, "See %s --help.\n", cmd.CommandPath())
	}
}
