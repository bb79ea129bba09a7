package main

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/plan"
)

// fleetEngine is what runs the containers: an engine, or a Swarm.
type fleetEngine interface {
	Create(ctx context.Context, pool, runner string, launch *plan.Launch) (containerID string, err error)
	Start(ctx context.Context, containerID string, files []plan.File) error
	Signal(ctx context.Context, containerID, signal string) error
	Remove(ctx context.Context, containerID string, force bool) error
	List(ctx context.Context) ([]plan.Container, error)
	Inspect(ctx context.Context, containerID string) (plan.Container, error)
	Logs(ctx context.Context, containerID string, lines int) ([]string, error)
	FollowLogs(ctx context.Context, containerID string, lines int, line func(string) error) error
	Usage(ctx context.Context, containerID string) (plan.Usage, error)
	ReadFile(ctx context.Context, containerID, path string) ([]byte, error)
	WriteFile(ctx context.Context, containerID string, file plan.File) error
	Watch(ctx context.Context, notify func(runner string)) error
	JobContainers(ctx context.Context) (map[string][]string, error)
	Sweep(ctx context.Context, runner string, jobs []string) (removed []string, err error)
	Size(ctx context.Context) (plan.Resources, error)
	Image(pool string) string
	Owns(ctx context.Context, runner string, addr netip.Addr) error
	preparer
	imageMaker
	SetPools(pools map[string]docker.Options, refresh time.Duration) error
	EnsureImage(ctx context.Context, pool string) error
	Close() error
}

// preparer has ready what the pools need.
type preparer interface {
	Prepare(ctx context.Context) error
	CheckNetworks(ctx context.Context) error
}

// imageMaker makes images of a program.
type imageMaker interface {
	ImportImage(ctx context.Context, ref, binary string, entrypoint []string, labels map[string]string) error
	RemoveImage(ctx context.Context, ref string) error
}

// dockerConfig says how the engine is reached.
func dockerConfig(d config.Docker) docker.Config {
	c := docker.Config{Host: d.Host, Context: d.Context}
	if d.TLS != nil {
		c.TLS = docker.TLS{CA: d.TLS.CAFile, Cert: d.TLS.CertFile, Key: d.TLS.KeyFile}
	}
	return c
}

// newEngine returns the engine that the configuration names. It reads
// no more than the files that are named.
func newEngine(cfg *config.Config, instance string, log *slog.Logger, observe func(operation, outcome string, took time.Duration)) (fleetEngine, error) {
	settings := dockerConfig(cfg.Docker)
	settings.Instance, settings.Pools, settings.Logger, settings.Refresh, settings.Observe = instance, dockerPools(cfg), log, pullHolds(cfg.Docker), observe
	if cfg.Engine == config.EngineSwarm {
		return docker.NewSwarm(settings)
	}
	return docker.New(settings)
}

// swarmOptions puts a pool's placement into the engine's terms.
func swarmOptions(p config.Pool) docker.SwarmOptions {
	s := p.Container.Swarm
	return docker.SwarmOptions{
		Constraints: s.Constraints, Spread: s.Spread, Platforms: s.Platforms,
		ReserveCPUs: s.ReserveCPUs, ReserveMemory: s.ReserveMemory, Generic: s.Generic(), Finish: p.ShutdownTimeout,
	}
}
