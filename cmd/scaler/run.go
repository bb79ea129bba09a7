package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
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
			hangups := catchHangups()
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			level := new(slog.LevelVar)
			level.Set(cfg.Log.Level)
			log := newLeveledLogger(cfg.Log.Format, level, cmd.ErrOrStderr())
			for _, w := range cfg.Warnings() {
				log.Warn("configuration: " + w)
			}
			return runDaemon(cmd.Context(), path, cfg, level, hangups, log)
		},
	}
	addConfigFlag(cmd, &path)
	return cmd
}

// runDaemon runs the daemon until ctx ends.
func runDaemon(ctx context.Context, path string, cfg *config.Config, level *slog.LevelVar, hangups <-chan os.Signal, log *slog.Logger) error {
	saveMemory()
	opened, err := openStores(cfg, log)
	if err != nil {
		return err
	}
	defer opened.close()
	p, err := wire(cfg, opened, log)
	if err != nil {
		return err
	}
	defer p.close()
	ready := p.preparations(cfg, log)
	manager := serviceManager(p, log)
	tell, err := newNotifier(cfg, p, log)
	if err != nil {
		return err
	}
	reloads := &reloader{path: path, log: log, level: level, running: cfg, sites: p.reloads(), noteConfig: p.fleet.NoteConfig, tell: p.journal.Add,
		taken: func(c *config.Config) {
			p.running.Store(c)
			for _, r := range ready {
				r.change(c.Docker)
			}
			tell.SetTargets(notificationTargets(c))
		},
		reloading: manager.reloading, count: p.meter.Reloaded,
	}
	if p.ledger != nil {
		reloads.setLimits = func(c *config.Config) { p.ledger.SetLimits(sharedLimits(c)) }
	}
	servers, err := listen(cfg, p, reloads.Reload, log)
	if err != nil {
		return err
	}
	servers = append(servers, service{"notifications", tell.Run})
	for _, s := range p.sites {
		view := cfg.ForServer(s.server)
		serverLog(log, s.server).Info("scaler starts", "version", readBuildInfo().Version, "instance", s.store.Instance(), "gitea", view.Gitea.InternalURL,
			"pools", len(view.Pools), "state", s.store.Path(), "control", cfg.ControlSocket)
	}
	go func() {
		reloads.begin(ctx)
		(&edits{path: path, poll: editsPoll, log: log, hangups: hangups, take: reloads.take, reload: reloads.Reload}).follow(ctx)
	}()
	for _, r := range ready {
		go r.follow(ctx)
	}
	if cfg.Webhook != nil && cfg.Webhook.Create {
		for _, s := range p.sites {
			go makeHooks(ctx, cfg.ForServer(s.server), s.gitea, serverLog(log, s.server))
		}
	}
	p.journal.Add(plan.Event{Kind: plan.EventDaemonStarted, Text: "version " + readBuildInfo().Version})
	defer p.measure(ctx)()
	return runFleet(ctx, p, servers, manager, log)
}

// runFleet runs the fleet and what serves beside it. That stays while the
// fleet shuts down, which can take as long as its jobs.
func runFleet(ctx context.Context, p parts, servers []service, manager *systemd, log *slog.Logger) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	served := make(chan error, len(servers))
	for _, s := range servers {
		go func() {
			err := s.serve(serving)
			if err != nil && serving.Err() == nil {
				err = fmt.Errorf("serve %s: %w", s.what, err)
				giveUp(err)
			}
			served <- err
		}()
	}
	for _, s := range p.sites {
		go introduce(ctx, s.gitea, serverLog(log, s.server))
	}
	defer manager.start()()
	p.fleet.OnReady(func() {
		manager.isReady()
		log.Info("ready")
		if err := unmapProgram(); err != nil {
			log.Debug("more memory than needed stays mapped", "err", err)
		}
	})
	stop := context.AfterFunc(ctx, func() {
		p.journal.Add(plan.Event{Kind: plan.EventDaemonStops})
		manager.stops()
	})
	defer stop()
	defer manager.stops() // which may have had no turn yet
	err := p.fleet.Run(ctx)
	stopServing()
	for range servers {
		if serveErr := <-served; err == nil {
			err = serveErr
		}
	}
	return err
}

// serviceManager is told how the fleet is doing.
func serviceManager(p parts, log *slog.Logger) *systemd {
	return newSystemd(func() plan.Health { return p.fleet.Status().Health(time.Now()) }, log)
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
	log.Info("server found", "product", s.Product(), "version", s.Version, "actions", s.Actions)
}
