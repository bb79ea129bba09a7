package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/gateway"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/host"
	"scaler.io/scaler/internal/journal"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/pool"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
	"scaler.io/scaler/internal/trend"
)

// parts are what a daemon is made of.
type parts struct {
	sites     []*site            // one for each server, in their order
	calls     *server.Calls      // to the servers
	meter     *server.Meter      // of what the daemon does
	delivered *server.Deliveries // notifications
	gateway   *gateway.Gateway   // nil if there is none
	host      *host.Monitor      // nil without limits.pressure
	ledger    *pool.Ledger       // nil with the one server of gitea
	fleet     *pool.Group
	journal   *journal.Journal // of what happens
	trend     *trend.Recorder  // of the last hours
	// running is the configuration that holds.
	running *atomic.Pointer[config.Config]
}

// site is what the daemon has for one server.
type site struct {
	server    string // its name, empty where there is only one
	store     *state.Store
	gitea     *gitea.Client
	engine    fleetEngine // which sees the containers of this server's runners only
	registrar *register.Registrar
	manager   *pool.Manager
}

// keptEvents is how many events the journal keeps.
const keptEvents = 4096

// wire makes a daemon of the configuration and the open state of its servers. It
// does no I/O.
func wire(cfg *config.Config, state stores, log *slog.Logger, change ...func(*pool.Config)) (parts, error) {
	p := parts{calls: server.NewCalls(cfg.Gitea == nil), meter: server.NewMeter(), delivered: server.NewDeliveries(), journal: journal.New(keptEvents)}
	p.trend = trend.New(func() plan.Status { return p.fleet.Status() })
	p.running = new(atomic.Pointer[config.Config])
	p.running.Store(cfg)
	p.host = newMonitor(cfg.Limits.Pressure, func() { p.fleet.Trigger() })
	if cfg.Gitea == nil {
		p.ledger = pool.NewLedger(sharedLimits(cfg))
	}
	var managers []*pool.Manager
	for i, name := range cfg.ServerNames() {
		s, err := p.wireSite(cfg.ForServer(name), name, state[i], serverLog(log, name), change...)
		if err != nil {
			return parts{}, errors.Join(err, p.close())
		}
		p.sites, managers = append(p.sites, s), append(managers, s.manager)
	}
	p.fleet = pool.NewGroup(p.ledger, managers...)
	return p, nil
}

// wireSite makes what the daemon has for one server. cfg is the configuration for
// that server alone.
func (p *parts) wireSite(cfg *config.Config, name string, store *state.Store, log *slog.Logger, change ...func(*pool.Config)) (*site, error) {
	options := giteaOptions(cfg, log)
	running := p.running
	options.Observe, options.Labels = p.calls.Of(name), func() []string { return running.Load().ForServer(name).LabelNames() }
	client, err := gitea.New(options)
	if err != nil {
		return nil, err
	}
	engine, err := newEngine(cfg, cmp.Or(store.Instance(), "none"), log, p.meter.Docker)
	if err != nil {
		return nil, err
	}
	s := &site{server: name, store: store, gitea: client, engine: engine,
		registrar: register.New(client, client, registrationTokens(cfg), cfg.Limits.Registrations)}
	fleetCfg := fleetConfig(cfg, store.Instance())
	fleetCfg.Server = name
	for _, c := range change {
		c(&fleetCfg)
	}
	ports := pool.Ports{Engine: engine, Images: engine, Inspector: engine, Follower: engine, Sweeper: engine, Sizer: engine, Forge: client, Registrar: s.registrar, Voice: client, Pages: client,
		Store: store, History: store, Meter: waits{p.meter, p.trend}, Journal: p.journal, Ledger: p.ledger}
	own := &ownRunners{engine: engine}
	if cfg.Gateway != nil {
		if p.gateway, err = newGateway(cfg, s, own, log); err != nil {
			return nil, errors.Join(err, engine.Close())
		}
		ports.Issuer = p.gateway
	}
	if p.host != nil {
		ports.Pressure = p.host
	}
	s.manager = pool.New(fleetCfg, ports, log)
	own.fleet = s.manager
	return s, nil
}

// first is what the daemon has for its first server, which stands for the daemon
// itself where there are several.
func (p parts) first() *site { return p.sites[0] }

// close lets go of the engine.
func (p parts) close() error {
	var errs []error
	for _, s := range p.sites {
		errs = append(errs, s.engine.Close())
	}
	return errors.Join(errs...)
}

// serverLog has the log say which server it is about, where there are several.
func serverLog(log *slog.Logger, server string) *slog.Logger {
	if server == "" {
		return log
	}
	return log.With("server", server)
}

// sharedLimits are those that bind the runners of several servers together.
func sharedLimits(cfg *config.Config) plan.Limits {
	return plan.Limits{Runners: cfg.Limits.Runners, Most: cfg.Limits.Most(), Reserve: cfg.Limits.Reserve.Amount()}
}

// giteaOptions says how to reach the server.
func giteaOptions(cfg *config.Config, log *slog.Logger) gitea.Options {
	return gitea.Options{
		URL: cfg.Gitea.InternalURL, RunnerURL: cfg.Gitea.URL, Token: cfg.Gitea.APIToken.Read,
		CAFile: cfg.Gitea.TLS.CAFile, InsecureSkipVerify: cfg.Gitea.TLS.InsecureSkipVerify,
		Timeout: cfg.Gitea.RequestTimeout, UserAgent: "scaler/" + readBuildInfo().Version, Logger: log, Labels: cfg.LabelNames,
	}
}

// fleetConfig puts the configuration into the terms of the loop.
func fleetConfig(cfg *config.Config, instance string) pool.Config {
	scopes := make(map[string]plan.Scope, len(cfg.RegistrationTokens))
	for _, t := range cfg.RegistrationTokens {
		scopes[t.Name] = t.Scope
	}
	out := pool.Config{
		Version: readBuildInfo().Version, Instance: instance, Pools: make(map[string]pool.Options, len(cfg.Pools)),
		Spec: plan.Spec{MaxRunners: cfg.Limits.Runners, Most: cfg.Limits.Most(), Reserve: cfg.Limits.Reserve.Amount(), DrainSettle: cfg.Drain.Settle},
		Pace: pool.Pace{Polls: plan.Polls{Active: cfg.PollActive, Usual: cfg.PollInterval}, Quiet: cfg.PollQuiet}, ParallelStarts: cfg.Limits.ParallelStarts,
		Sharing:         cfg.Sharing(),
		Events:          cfg.Webhook != nil,
		DrainOnShutdown: cfg.OnShutdown == config.ShutdownDrain, ShutdownTimeout: cfg.ShutdownTimeout,
	}
	for _, p := range cfg.Pools {
		names := make([]string, 0, len(p.Labels))
		for _, l := range p.Labels {
			names = append(names, l.Name)
		}
		out.Spec.Pools = append(out.Spec.Pools, plan.Pool{
			Name: p.Name, Scope: scopes[p.RegistrationToken], Labels: names, Min: p.Min, Idle: p.Idle.Count, Auto: poolAuto(p), Max: p.Max, Standby: p.Standby,
			IdleTimeout: p.IdleTimeout, Windows: p.Windows(), Pace: p.Pace(), Renewal: p.Renewal(), BootTimeout: p.BootTimeout, ShutdownTimeout: p.ShutdownTimeout,
			Cost: p.Cost(), Priority: p.Priority, Weight: p.Weight, MaxPerRepo: p.MaxPerRepo, MaxPerOwner: p.MaxPerOwner,
		})
		out.Pools[p.Name] = pool.Options{
			Recipe: p.Recipe(scopes[p.RegistrationToken]),
			Token:  p.RegistrationToken, Labels: p.Labels, Ephemeral: p.Ephemeral, DataDir: p.Container.DataDir,
			RunnerConfig: func(runner string) ([]byte, error) {
				return p.RunnerConfig.WithJobOptions(docker.JobOptions(instance, runner))
			},
			Program: runnerProgram(p.Runner), Launched: len(p.Container.Command)+len(p.Container.Entrypoint) > 0,
			SelfRegister: selfRegister(cfg, p),
			StartTimeout: p.Container.PullTimeout,
		}
	}
	return out
}

// runnerProgram puts the runner of a pool's image into the terms of the loop.
func runnerProgram(p config.RunnerProgram) register.Program {
	if p == config.RunnerAuto {
		return ""
	}
	return register.Program(p)
}

// poolAuto is what a pool chooses its ready runners by outside of its windows,
// nil if it does not.
func poolAuto(p config.Pool) *plan.Auto {
	if !p.Idle.Auto {
		return nil
	}
	return p.Auto()
}

func registrationTokens(cfg *config.Config) []register.Token {
	tokens := make([]register.Token, 0, len(cfg.RegistrationTokens))
	for _, t := range cfg.RegistrationTokens {
		token := register.Token{Name: t.Name, Scope: t.Scope, Disabled: !t.Enabled}
		if !t.Mint {
			token.Read = t.Token.Read
		}
		tokens = append(tokens, token)
	}
	return tokens
}

// dockerPools puts the pools' container settings into the engine's terms.
func dockerPools(cfg *config.Config) map[string]docker.Options {
	pools := make(map[string]docker.Options, len(cfg.Pools))
	for _, p := range cfg.Pools {
		c := p.Container
		o := docker.Options{
			Image: p.Image, Pull: docker.PullPolicy(c.Pull), PullTimeout: c.PullTimeout,
			DataDir: c.DataDir, Entrypoint: c.Entrypoint, Command: c.Command, Env: c.Env,
			Network: c.Network, ExtraHosts: c.ExtraHosts, DNS: c.DNS,
			Binds: c.Binds, Volumes: c.Volumes, Tmpfs: c.Tmpfs,
			Access: docker.Access(c.DockerAccess), Socket: c.DockerSocket, Privileged: c.Privileged, User: c.User,
			CapAdd: c.CapAdd, CapDrop: c.CapDrop, SecurityOpt: c.SecurityOpt, Runtime: c.Runtime, Devices: c.Devices, GPUs: c.GPUs,
			CPUs: c.CPUs, Memory: c.Memory, MemorySwap: c.MemorySwap, Pids: c.Pids, ShmSize: c.ShmSize,
			LogDriver: c.LogDriver, LogOptions: c.LogOptions, Labels: c.Labels, Swarm: swarmOptions(p),
		}
		for _, name := range slices.Sorted(maps.Keys(c.Ulimits)) {
			o.Ulimits = append(o.Ulimits, name+"="+c.Ulimits[name])
		}
		if auth := c.RegistryAuth; auth != nil {
			o.Auth = func() (string, plan.Secret, string, error) {
				password, err := auth.Password.Read()
				return auth.Username, password, auth.Server, err
			}
		}
		pools[p.Name] = o
	}
	return pools
}

// offline makes what the daemon would be, without one, from the state if there is
// any. It is for looking only; the close that it returns ends that.
func offline(ctx context.Context, cfg *config.Config, log *slog.Logger) (fleet *pool.Group, end func(), err error) {
	opened, err := readStores(cfg)
	if err != nil {
		return nil, nil, err
	}
	p, err := wire(cfg, opened, log)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("prepare: %w", err), opened.close())
	}
	stop := p.measure(ctx)
	return p.fleet, func() {
		stop()
		_ = errors.Join(p.close(), opened.close()) // nothing was written
	}, nil
}
