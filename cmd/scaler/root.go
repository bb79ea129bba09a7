package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

const rootHelp = `scaler watches the jobs that wait on a Gitea server, starts a runner container
for each, and deregisters and removes it when its job is done.

Exit codes:
  0  done
  1  it failed, or faults were found
  2  wrong usage: an unknown command or flag, or wrong arguments
  3  the daemon cannot be reached on its control socket`

// run executes the command line args, without the program's name, and returns
// the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	cmd, err := root.ExecuteContextC(ctx)
	report(stderr, cmd, err)
	return exitCode(err)
}

func newRootCommand() *cobra.Command {
	root := newGroup("scaler", "Runner containers for the jobs of a Gitea server",
		newInitCommand(), newDoctorCommand(), newDoctorProbeCommand(),
		newRunCommand(), newValidateCommand(), newPlanCommand(), newExplainCommand(), newStatusCommand(), newHealthCommand(), newReapCommand(), newCorpsesCommand(), newReloadCommand(), newSimulateCommand(),
		newPauseCommand(), newResumeCommand(), newDrainCommand(), newStartCommand(), newEventsCommand(), newLogsCommand(), newTopCommand(),
		newGroup("runner", "Look at single runners", newRunnerListCommand(), newRunnerShowCommand(), newRunnerExportCommand()),
		newTokenCommand(),
		newWebhookCommand(),
		newNotifyCommand(),
		newGroup("state", "Check and copy the daemon's records", newStateCheckCommand(), newStateBackupCommand(), newStateExportCommand()),
		newGroup("config", "Describe the configuration file", newConfigSchemaCommand(), newConfigReferenceCommand()),
		newGroup("debug", "Look into the running daemon", newDebugProfileCommand()),
		newDemoCommand(), newDemoRunnerCommand(), newFakeGiteaCommand(), newVersionCommand(),
	)
	root.AddCommand(packagersCommands()...)
	root.Long = rootHelp
	root.SilenceUsage, root.SilenceErrors = true, true
	markFailures(root)
	return root
}

// newGroup returns a command that only has others below it. Without one of
// them it prints its help; an unknown one is an error at every level, which
// cobra by itself sees at the root only.
func newGroup(use, short string, children ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short, DisableFlagsInUseLine: true, SuggestionsMinimumDistance: 2,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(children...)
	return group
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown command %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("unknown command %q", args[0])
}
