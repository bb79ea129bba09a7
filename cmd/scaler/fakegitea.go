package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/giteatest"
)

func newFakeGiteaCommand() *cobra.Command {
	var listen, registrationToken, apiToken, profile string
	cmd := &cobra.Command{
		Use: "fake-gitea", Short: "Serve an in-memory Gitea to try things out with", Args: cobra.NoArgs,
		Long: `Serve an in-memory Gitea that speaks the protocol of runners and the REST API of
Gitea Actions, until SIGINT or SIGTERM. It runs no workflows; jobs are made by
  curl -d '{"count": 3, "labels": ["linux"], "duration_ms": 500}' http://ADDR/fake/jobs
and GET /fake/state tells what has become of them. With --profile it behaves as
another release, and becomes one without losing anything, as by an upgrade, by
  curl -d '{"profile": "gitea-1.26"}' http://ADDR/fake/profile
Those three ask for no token.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if registrationToken == "" || apiToken == "" {
				return &usageError{"--registration-token and --api-token must not be empty"}
			}
			release, err := profileFlag(profile)
			if err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			gitea := giteatest.New(giteatest.Options{Profile: release, RegistrationToken: registrationToken, APIToken: apiToken, Logger: log})
			defer gitea.Close()
			return serveFake(cmd.Context(), listen, gitea, cmd.OutOrStdout(), log)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:3000", "address to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&registrationToken, "registration-token", "", "the instance's registration token")
	cmd.Flags().StringVar(&apiToken, "api-token", "", "API token of an administrator")
	addProfileFlag(cmd, &profile)
	for _, required := range []string{"registration-token", "api-token"} {
		if err := cmd.MarkFlagRequired(required); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

// addProfileFlag adds --profile, which names the release to behave as.
func addProfileFlag(cmd *cobra.Command, profile *string) {
	var names []string
	for _, p := range giteatest.Profiles() {
		names = append(names, p.String())
	}
	cmd.Flags().StringVar(profile, "profile", "", "release to behave as: "+strings.Join(names, ", ")+"; default: a current Gitea")
}

// profileFlag is the release that --profile names, and the zero one for none.
func profileFlag(name string) (giteatest.Profile, error) {
	if name == "" {
		return giteatest.Profile{}, nil
	}
	p, err := giteatest.ParseProfile(name)
	if err != nil {
		return giteatest.Profile{}, &usageError{"--profile: " + err.Error()}
	}
	return p, nil
}

// serveFake serves the handler at the address until ctx ends, and prints one
// line once it does.
func serveFake(ctx context.Context, address string, handler http.Handler, out io.Writer, log *slog.Logger) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	// No bounds on writing: a fault may well hold an answer for minutes.
	hs := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	if _, err := fmt.Fprintf(out, "fake Gitea at http://%s\n", ln.Addr()); err != nil {
		return errors.Join(fmt.Errorf("print address: %w", err), ln.Close())
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(ln) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve %s: %w", address, err), hs.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := hs.Shutdown(grace); err != nil {
		return hs.Close()
	}
	return nil
}
