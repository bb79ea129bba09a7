package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
)

// probeTimeout bounds the look at the server's version at the start.
const probeTimeout = 30 * time.Second

func newRunCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "run", Short: "Run the daemon", Args: cobra.NoArgs,
		Long: `Run the daemon in the foreground until SIGTERM or an interrupt.

Runners that run then are left running and taken up again by the next start,
unless the configuration says on_shutdown: drain. A second signal ends the
process at once, which loses nothing either.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			log := newLogger(cfg.Log, cmd.ErrOrStderr())
			for _, w := range cfg.Warnings() {
				log.Warn("configuration: " + w)
			}
			return runDaemon(cmd.Context(), cfg, log)
		},
	}
	addConfigFlag(cmd, &path)
	return cmd
}

// runDaemon runs the daemon until ctx ends.
func runDaemon(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	store, err := state.OpenOrRecover(cfg.StateDir, log)
	if err != nil {
		return err
	}
	defer store.Close()
	p, err := wire(cfg, store, log)
	if err != nil {
		return err
	}
	defer p.engine.Close()
	listener, err := server.Listen(cfg.ControlSocket)
	if err != nil {
		return err
	}
	log.Info("scaler starts", "version", readBuildInfo().Version, "instance", store.Instance(), "gitea", cfg.Gitea.InternalURL,
		"pools", len(cfg.Pools), "state", store.Path(), "control", cfg.ControlSocket)
	return serveFleet(ctx, p, listener, log, server.WithBackup(store.WriteTo))
}

// serveFleet runs the fleet and its control socket. The socket stays while the
// fleet shuts down, which can take as long as its jobs.
func serveFleet(ctx context.Context, p parts, listener net.Listener, log *slog.Logger, options ...server.Option) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	served := make(chan error, 1)
	go func() { served <- server.New(p.fleet, log, options...).Serve(serving, listener) }()
	go introduce(ctx, p.gitea, log)
	p.fleet.OnReady(func() {
		notify(log, daemon.SdNotifyReady)
		log.Info("ready")
	})
	stop := context.AfterFunc(ctx, func() { notify(log, daemon.SdNotifyStopping) })
	defer stop()
	err := p.fleet.Run(ctx)
	stopServing()
	if serveErr := <-served; err == nil && serveErr != nil {
		err = fmt.Errorf("serve control socket: %w", serveErr)
	}
	return err
}

// introduce logs which server it is. That it cannot be reached is the cycle's
// to say.
func introduce(ctx context.Context, client *gitea.Client, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	s, err := client.Probe(ctx)
	if s.Version == "" {
		log.Debug("server not recognised", "err", err)
		return
	}
	log.Info("server found", "version", s.Version, "forgejo", s.Forgejo, "actions", s.Actions)
}

// notify tells systemd of a change of state, if it started us.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd not notified", "state", state, "err", err)
	}
}
