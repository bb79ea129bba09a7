package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gateway"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/webhook"
)

// service is something that serves beside the fleet, until its context ends.
type service struct {
	what  string
	serve func(context.Context) error
}

// listen opens all that the daemon listens on, and returns what serves there.
// If one of them cannot be opened, the others are closed again.
func listen(cfg *config.Config, p parts, reload reloadFunc, log *slog.Logger) (services []service, err error) {
	var open []net.Listener
	defer func() {
		if err != nil {
			for _, l := range open {
				err = errors.Join(err, l.Close())
			}
		}
	}()
	control, err := server.Listen(cfg.ControlSocket)
	if err != nil {
		return nil, err
	}
	open = append(open, control)
	options := []server.Option{server.WithReload(reload), server.WithBackup(p.backup), server.WithAudit(p.audit)}
	if g := p.gateway; g != nil {
		if err := g.Load(); err != nil {
			return nil, err
		}
		l, err := listenTLS(cfg.Gateway.Listen, cfg.Gateway.TLS, log)
		if err != nil {
			return nil, fmt.Errorf("open gateway.listen: %w", err)
		}
		open = append(open, l)
		options = append(options, server.WithTokens(g))
		services = append(services,
			service{"gateway", func(ctx context.Context) error { return g.Serve(ctx, l) }},
			service{"gateway's janitor", g.Run})
		log.Info("gateway listens", "address", l.Addr().String(), "url", cfg.Gateway.PublicURL, "tls", cfg.Gateway.TLS != nil)
	}
	if h := cfg.Webhook; h != nil {
		l, err := listenTLS(h.Listen, nil, log)
		if err != nil {
			return nil, fmt.Errorf("open webhook.listen: %w", err)
		}
		open = append(open, l)
		var receivers []*webhook.Receiver
		for _, s := range p.sites {
			w, log := cfg.ForServer(s.server).Webhook, serverLog(log, s.server)
			receivers = append(receivers, webhook.New(webhook.Config{Path: w.Path, Secret: w.Secret.Read, Other: s.manager.Sign}, s.takeEvent, log))
			log.Info("webhook listens", "address", l.Addr().String(), "url", h.PublicURL+w.Path)
		}
		events := receivers[0].With(receivers[1:]...)
		services = append(services, service{"webhook", func(ctx context.Context) error { return events.Serve(ctx, l) }})
	}
	if h := cfg.HTTP; h != nil {
		l, err := listenTLS(h.Listen, h.TLS, log)
		if err != nil {
			return nil, fmt.Errorf("open http.listen: %w", err)
		}
		open = append(open, l)
		web := newWeb(cfg, p, reload, log)
		services = append(services,
			service{"pages", func(ctx context.Context) error { return web.Serve(ctx, l) }},
			service{"charts", p.trend.Run})
		log.Info("pages listen", "address", l.Addr().String(), "tls", h.TLS != nil)
	}
	return append(services, controlSocket(p, control, log, options...)), nil
}

// takeEvent takes an event of the server's webhook.
func (s *site) takeEvent(e webhook.Event) {
	s.manager.Tell(plan.JobEvent{Status: e.Action, Job: e.Job, At: time.Now(), Attempt: e.Attempt, Started: e.Started})
	if e.Action != "waiting" { // on other jobs, which have events of their own
		s.manager.Announce(announcedBy(e))
	}
}

// backup writes a copy of the records of one server; without a name, of the first.
// The error wraps plan.ErrNotFound.
func (p parts) backup(w io.Writer, server string) (int64, error) {
	s, err := p.at(server)
	if err != nil {
		return 0, err
	}
	return s.store.WriteTo(w)
}

// audit reads the audit log of one server; without a name, of the first. The error
// wraps plan.ErrNotFound.
func (p parts) audit(server string, after uint64, limit int) ([]plan.AuditEntry, error) {
	s, err := p.at(server)
	if err != nil {
		return nil, err
	}
	return s.store.Audit(after, limit)
}

// at is what the daemon has for a server; without a name, for the first. The error
// wraps plan.ErrNotFound.
func (p parts) at(server string) (*site, error) {
	if server == "" {
		return p.first(), nil
	}
	for _, s := range p.sites {
		if s.server == server {
			return s, nil
		}
	}
	return nil, fmt.Errorf("server %s: %w: the servers are %s", server, plan.ErrNotFound, strings.Join(p.fleet.Servers(), ", "))
}

// announcedBy returns the job that an event says waits for a runner, 0 if it
// says something else.
func announcedBy(e webhook.Event) int64 {
	if e.Action != plan.JobQueued {
		return 0
	}
	return e.Job.ID
}

// controlSocket serves what the fleet offers, and more by the options.
func controlSocket(p parts, l net.Listener, log *slog.Logger, options ...server.Option) service {
	api := server.New(p.fleet, log, append(options, server.WithExplain(p.fleet.Explain),
		server.WithOperator(p.fleet), server.WithCorpses(p.fleet), server.WithOnlooker(p.fleet), server.WithEvents(p.journal))...)
	return service{"control socket", func(ctx context.Context) error { return api.Serve(ctx, l) }}
}

func listenTLS(addr string, files *config.ServerTLS, log *slog.Logger) (net.Listener, error) {
	if files == nil {
		return gateway.Listen(addr, nil)
	}
	return gateway.Listen(addr, &gateway.TLSFiles{Cert: files.CertFile, Key: files.KeyFile, Log: log})
}
