package main

import (
	"context"
	"log/slog"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
	"scaler.io/scaler/internal/trend"
)

// reloadFunc reads the configuration again and takes it over.
type reloadFunc = func(ctx context.Context) (server.Reloaded, error)

// newWeb makes the pages of the configuration.
func newWeb(cfg *config.Config, p parts, reload reloadFunc, log *slog.Logger) *server.Web {
	h := cfg.HTTP
	web := server.WebConfig{
		Passwords: h.PasswordFile, UserHeader: h.UserHeader, TrustedProxies: config.Networks(h.TrustedProxies), ReadersLogIn: h.Read == config.ReadLogin,
		RunnerImage: h.RunnerImage, Secure: h.TLS != nil, Calls: p.calls, Meter: p.meter, Notifications: p.delivered, Explain: p.fleet.Explain,
		Actions: p.fleet, Log: p.fleet.Logs, Reload: reload, Trends: p.trend, Journal: p.journal, Settings: func() []server.Setting { return webSettings(p.running.Load()) },
		Audit: func(e plan.AuditEntry) error {
			return p.first().store.PutOrders(state.Orders{Audit: []plan.AuditEntry{e}})
		},
	}
	if p.gateway == nil {
		return server.NewWeb(web, p.fleet, nil, log)
	}
	web.GatewayURL, web.Scopes = cfg.Gateway.PublicURL, p.atGateway(cfg).registrar.Scopes
	return server.NewWeb(web, p.fleet, p.gateway, log)
}

// atGateway is what the daemon has for the server that the gateway registers
// runners at.
func (p parts) atGateway(cfg *config.Config) *site {
	for _, s := range p.sites {
		if s.server == cfg.Gateway.Server {
			return s
		}
	}
	return p.first()
}

// webSettings are those that hold, for people.
func webSettings(c *config.Config) []server.Setting {
	var list []server.Setting
	for _, e := range config.Effects(c) {
		list = append(list, server.Setting(e))
	}
	return list
}

// waits counts for the metrics and, of jobs that begin, for the charts.
type waits struct {
	*server.Meter
	trend *trend.Recorder
}

// Took notes how long something took.
func (w waits) Took(pool string, what plan.Span, took time.Duration) {
	w.Meter.Took(pool, what, took)
	if what == plan.SpanWait {
		w.trend.Began(took)
	}
}
