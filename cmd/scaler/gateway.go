package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gateway"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/pool"
)

// newGateway makes the gateway of the configuration, for its server.
func newGateway(cfg *config.Config, s *site, fleet *ownRunners, log *slog.Logger) (*gateway.Gateway, error) {
	upstream, err := url.Parse(cfg.Gitea.InternalURL)
	if err != nil {
		return nil, fmt.Errorf("read gitea.internal_url: %w", err)
	}
	transport, err := gitea.NewTransport(giteaOptions(cfg, log))
	if err != nil {
		return nil, err
	}
	g := cfg.Gateway
	return gateway.New(gateway.Config{
		PublicURL: g.PublicURL, Upstream: upstream, Transport: transport,
		AllowGiteaTokens: g.AllowGiteaTokens, AllowPlainHTTP: g.AllowPlainHTTP, PassAll: g.PassThrough == config.PassAll,
		TrustedProxies: config.Networks(g.TrustedProxies), PerToken: g.PerToken, Version: readBuildInfo().Version,
	}, gateway.Ports{
		Enroller: gateway.Upstream{Registrar: s.registrar, Relay: s.gitea}, Forge: s.gitea, Verifier: verifier{s.gitea}, Store: s.store, Fleet: fleet,
	}, log), nil
}

// verifier has the server say whose a runner's own token is.
type verifier struct{ client *gitea.Client }

// Verify returns the server's id of the runner.
func (v verifier) Verify(ctx context.Context, id plan.Identity) (int64, error) {
	return v.client.Verify(ctx, id, readBuildInfo().Version)
}

// ownRunners are the runners of the daemon's pools that register themselves.
type ownRunners struct {
	fleet  *pool.Manager // set once it is made
	engine fleetEngine
}

// Enrolled stores what the server gave a runner.
func (o *ownRunners) Enrolled(ctx context.Context, runner string, id plan.Identity) error {
	return o.fleet.Enrolled(ctx, runner, id)
}

// Owns returns nil if the address is one of the runner's container.
func (o *ownRunners) Owns(ctx context.Context, runner string, addr netip.Addr) error {
	return o.engine.Owns(ctx, runner, addr)
}

// selfRegister returns how the containers of a pool register themselves, or
// nil if the daemon registers them.
func selfRegister(cfg *config.Config, p config.Pool) *pool.SelfRegister {
	if p.Registration != config.RegisterByContainer {
		return nil
	}
	labels := make([]string, 0, len(p.Labels))
	for _, l := range p.Labels {
		labels = append(labels, l.String())
	}
	return &pool.SelfRegister{TokenLifetime: p.TokenLifetime(), Env: func(runner string, token plan.Secret) map[string]string {
		env := map[string]string{
			"GITEA_INSTANCE_URL":              cfg.Gateway.PublicURL,
			"GITEA_RUNNER_REGISTRATION_TOKEN": token.Reveal(),
			"GITEA_RUNNER_NAME":               runner,
			"GITEA_RUNNER_LABELS":             strings.Join(labels, ","),
		}
		if p.Ephemeral {
			env["GITEA_RUNNER_EPHEMERAL"] = "true"
		}
		return env
	}}
}
