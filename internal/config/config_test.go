package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// defaults is what minimal gives.
func defaults() *Config {
	token := SecretRef{secretEnv, "SCALER_TEST_TOKEN"}
	return &Config{
		Gitea: &Gitea{
			URL: "https://git.example.com", InternalURL: "https://git.example.com",
			APIToken: token, RequestTimeout: 10 * time.Second,
		},
		RegistrationTokens: []RegistrationToken{{Name: "instance", Scope: plan.Scope{Kind: plan.ScopeInstance}, Token: &token, Enabled: true}},
		Pools: []Pool{{
			Name: "linux", RegistrationToken: "instance", Registration: RegisterByDaemon, Runner: RunnerAuto,
			Labels: []plan.Label{{Name: "linux", Schema: "host"}}, Image: "gitea/runner:latest",
			Max: 10, IdleTimeout: 5 * time.Minute, BootTimeout: 2 * time.Minute, MaxUnavailable: plan.Portion{Count: 1},
			Ephemeral: true, Weight: 1, ShutdownTimeout: 3 * time.Hour, Schedule: []Window{},
			RunnerConfig: RunnerConfig("log:\n    level: info\nrunner:\n    capacity: 1\n    file: .runner\n    shutdown_timeout: 3h0m0s\n"),
			Container: Container{
				Pull: PullMissing, PullTimeout: 10 * time.Minute, DataDir: "/data",
				Command: []string{}, Entrypoint: []string{}, Env: map[string]string{},
				ExtraHosts: []string{}, DNS: []string{}, Binds: []string{}, Volumes: []string{}, Tmpfs: map[string]string{},
				DockerAccess: DockerNone, DockerSocket: "/var/run/docker.sock",
				CapAdd: []string{}, CapDrop: []string{}, SecurityOpt: []string{}, Devices: []string{},
				Ulimits: map[string]string{}, LogOptions: map[string]string{}, Labels: map[string]string{},
				Swarm: Placement{Constraints: []string{}, Spread: []string{}, Platforms: []string{}, GenericResources: []string{}},
			},
		}},
		Engine:        EngineDocker,
		Notifications: []Notification{},
		Limits:        Limits{Registrations: 600, Pressure: Pressure{DiskPaths: []string{"/var/lib/docker"}}},
		PollInterval:  time.Second, PollActive: 250 * time.Millisecond, PollQuiet: 5 * time.Second, StateDir: "/var/lib/scaler", ControlSocket: "/run/scaler/scaler.sock",
		Log:        Log{Level: slog.LevelInfo, Format: LogText},
		OnShutdown: ShutdownLeave, ShutdownTimeout: 5 * time.Minute,
		Docker: Docker{Prepull: true, Refresh: time.Hour}, Drain: Drain{Settle: 10 * time.Second},
	}
}

// defaultEvents are those that a notification tells without further ado.
func defaultEvents() []plan.EventKind {
	return []plan.EventKind{
		plan.EventBreakerOpened, plan.EventBreakerClosed, plan.EventTokenRefused, plan.EventProblem,
		plan.EventProblemOver, plan.EventConfigRejected, plan.EventCorpse, plan.EventJobOverdue,
	}
}

func TestDefaults(t *testing.T) {
	badEnv(t)
	equal(t, mustParse(t, minimal), defaults())
}

func TestEveryKey(t *testing.T) {
	badEnv(t)
	dir := t.TempDir()
	writeSecret(t, filepath.Join(dir, "registration"), "t0ken", 0o600)
	t.Setenv(credentialsDir, dir)
	got, err := Load(filepath.Join("testdata", "every-key.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	token := SecretRef{secretEnv, "SCALER_TEST_TOKEN"}
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	pair := &ServerTLS{CertFile: filepath.Join(here, "tls.crt"), KeyFile: filepath.Join(here, "tls.key")}
	equal(t, got, &Config{
		Gitea: &Gitea{
			URL: "https://git.example.com/gitea", InternalURL: "http://gitea:3000", APIToken: token,
			TLS: TLS{InsecureSkipVerify: true}, RequestTimeout: 20 * time.Second,
		},
		RegistrationTokens: []RegistrationToken{
			{Name: "acme", Scope: plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, Token: &SecretRef{secretCredential, "registration"}, Enabled: true},
			{Name: "minted", Scope: plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "tools"}, Mint: true},
		},
		Pools: []Pool{{
			Name: "gpu-1", RegistrationToken: "minted", Registration: RegisterByContainer, Runner: RunnerForgejo,
			Labels: []plan.Label{{Name: "gpu"}, {Name: "ubuntu", Schema: "docker", Args: "//ubuntu:24.04"}, {Name: "linux", Schema: "host"}},
			Image:  "registry.example.com/runner:latest",
			Min:    1, Idle: Idle{Count: 2}, TargetWait: &TargetWait{P99: ptr(time.Second)}, IdleMax: ptr(2), Max: 3, BootTimeout: 90 * time.Second, ShutdownTimeout: time.Hour, Priority: -5, Weight: 3, MaxPerRepo: 2, MaxPerOwner: 3,
			Ramp: &Ramp{Starts: 4, Per: 90 * time.Second}, CoolDown: 10 * time.Minute,
			MaxLifetime: 24 * time.Hour, MaxJobs: 50, MaxUnavailable: plan.Portion{Percent: 25},
			RunnerConfig: RunnerConfig("container:\n    options: null\nlog:\n    level: debug\nrunner:\n    capacity: 1\n" +
				"    envs:\n        TZ: Europe/Berlin\n    fetch_interval: 1s\n    file: .runner\n    shutdown_timeout: 1h0m0s\n"),
			Schedule: []Window{
				{Cron: mustCron(t, "*/10 8-18 * jan,3 Mon-5"), Duration: 90 * time.Minute, Timezone: mustZone(t, "Europe/Berlin"),
					Min: ptr(0), Idle: &Idle{Count: 3}, Max: ptr(4), IdleTimeout: ptr(time.Duration(0))},
				{Cron: mustCron(t, "@weekly"), Duration: 168 * time.Hour, Timezone: mustZone(t, "UTC"), Min: ptr(0), Idle: &Idle{Auto: true}, Max: ptr(2)},
			},
			Container: Container{
				Pull: PullAlways, PullTimeout: time.Minute,
				RegistryAuth: &RegistryAuth{Username: "ci", Password: token, Server: "registry.example.com"},
				DataDir:      "/home/runner", Command: []string{"daemon", ""}, Entrypoint: []string{"/init"},
				Env:     map[string]string{"DEBUG": "true", "LEVEL": "0o17", "NAME": "a b"},
				Network: "ci", ExtraHosts: []string{"git.example.com:10.0.0.5"}, DNS: []string{"10.0.0.53", "fd00::53"},
				Binds: []string{"/srv/cache:/cache:ro,z"}, Volumes: []string{"tools:/tools", "/scratch"}, Tmpfs: map[string]string{"/tmp": "size=1g"},
				DockerAccess: DockerDind, DockerSocket: "/run/docker.sock", Privileged: true, // implied by dind
				User: "1000", CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"},
				SecurityOpt: []string{"no-new-privileges"}, Runtime: "nvidia", Devices: []string{"/dev/kvm:/dev/kvm:rw"}, GPUs: "2",
				CPUs: 1.5, Memory: 2 << 30, MemorySwap: -1, Pids: 100, ShmSize: 1 << 20,
				Swarm: Placement{
					Constraints: []string{"node.labels.ci==true", "node.role!=manager"}, Spread: []string{"node.labels.zone"}, Platforms: []string{"linux/amd64"},
					ReserveCPUs: 0.5, ReserveMemory: 1 << 30, GenericResources: []string{"gpu=2"},
				},
				Ulimits:   map[string]string{"nofile": "1024", "core": "0:-1"},
				LogDriver: "local", LogOptions: map[string]string{"max-file": "3"}, Labels: map[string]string{"com.example.team": "ci"},
			},
		}},
		Gateway: &Gateway{
			Listen: "10.0.0.1:8088", PublicURL: "https://runners.example.com", TLS: pair,
			AllowPlainHTTP: true, AllowGiteaTokens: true, PassThrough: PassAll, TrustedProxies: []string{"10.0.0.0/8", "fd00::1"}, PerToken: 10,
		},
		HTTP: &HTTP{
			Listen: "[::1]:9180", TLS: pair, PasswordFile: filepath.Join(here, "passwords"), UserHeader: "X-Remote-User",
			TrustedProxies: []string{"127.0.0.1"}, Read: ReadLogin, RunnerImage: "registry.example.com/runner:latest",
		},
		Notifications: []Notification{{
			Name: "slack", URL: Value{ref: &SecretRef{secretEnv, "SCALER_TEST_URL"}}, Method: "PUT", Bearer: &token,
			Headers: map[string]Value{"X-Key": {ref: &token}, "X-Text": {text: "plain"}},
			Secret:  &SecretRef{secretEnv, "SCALER_TEST_SECRET"}, Events: []plan.EventKind{plan.EventJobOverdue, plan.EventProblem}, Pools: []string{"gpu-1"},
			OverdueAfter: 5 * time.Minute, Template: `{"text": {{json .Lines}}}`, Batch: 1, RepeatAfter: 24 * time.Hour,
			Rate: NotificationRate{Messages: 3, Per: 10 * time.Minute}, RequestTimeout: 5 * time.Second,
		}},
		Peers: &Peers{Self: "build-2", Handover: 20 * time.Second, Daemons: []Peer{{Name: "build-1", Weight: 4, Instance: "5ca1e4000002"}, {Name: "build-2", Weight: 1}}},
		Limits: Limits{Runners: 5, CPUs: 6.5, Memory: 24 << 30, Reserve: Reserve{CPUs: 0.5, Memory: 1 << 30}, Registrations: 120, ParallelStarts: 2, Pressure: Pressure{
			CPU: 80, Memory: 20.5, IO: 60, FreeMemory: 512 << 20, FreeDisk: Space{Percent: 12.5}, DiskPaths: []string{"/srv/docker", "/srv/cache"},
		}},
		Webhook:      &Webhook{Listen: "127.0.0.1:8089", Path: "/hooks/gitea", PublicURL: "http://build-1:8089", Secret: SecretRef{secretEnv, "SCALER_TEST_SECRET"}, Create: true},
		PollInterval: 500 * time.Millisecond, PollActive: 100 * time.Millisecond, PollQuiet: 10 * time.Second, StateDir: "/srv/scaler", ControlSocket: "/tmp/scaler.sock",
		Engine: EngineDocker, Instance: "5ca1e4000001",
		Log:        Log{Level: slog.LevelWarn, Format: LogJSON},
		OnShutdown: ShutdownDrain, ShutdownTimeout: time.Minute,
		Docker: Docker{Host: "tcp://docker:2375", TLS: &DockerTLS{CAFile: pair.CertFile, CertFile: pair.CertFile, KeyFile: pair.KeyFile}, Refresh: 12 * time.Hour}, Drain: Drain{Settle: 3 * time.Second},
	})
}

// equal compares two configurations and shows them if they differ.
func equal(t *testing.T, got, want *Config) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// TestEveryKeyIsThere holds the test above and the commented examples to the
// structs. One of them is for several servers, and excludes gitea.
func TestEveryKeyIsThere(t *testing.T) {
	for _, file := range []string{"testdata/every-key.yaml", "../../configs/scaler.yaml", "../../configs/servers.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		walk(reflect.TypeFor[Config](), "", func(path string, k key) {
			if ofServers := strings.HasPrefix(path, "servers") || k.name == "server"; ofServers != strings.HasSuffix(file, "servers.yaml") {
				return
			}
			if !regexp.MustCompile(`(?m)[ {#-]` + k.name + `:|^` + k.name + `:`).Match(data) {
				t.Errorf("%s does not show %s", file, path)
			}
		})
	}
}

func TestExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "configs", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files %q: %v", files, err)
	}
	for _, file := range files {
		if slices.Contains([]string{"alerts.yaml", "stack.yaml"}, filepath.Base(file)) {
			continue // which are for Prometheus and for Docker
		}
		mustParse(t, example(t, filepath.Base(file)))
	}
	t.Run("minimal gives no warning", func(t *testing.T) {
		c := mustParse(t, example(t, "minimal.yaml"))
		if w := c.Warnings(); len(w) > 0 {
			t.Errorf("warnings: %q", w)
		}
	})
	commented := regexp.MustCompile(`(?m)^( *)#((?:- )?[a-z_]+:)`)
	for name, edit := range map[string]func(string) string{
		"as it is":                         func(s string) string { return s },
		"with the commented defaults set":  func(s string) string { return commented.ReplaceAllString(s, "$1$2") },
		"with the commented lines removed": func(s string) string { return regexp.MustCompile(`(?m)^ *#.*\n`).ReplaceAllString(s, "") },
	} {
		t.Run(name, func(t *testing.T) {
			c := mustParse(t, edit(example(t, "scaler.yaml")))
			want := defaults()
			// What the example sets otherwise, as it is meant to be used.
			want.Gitea.APIToken = c.Gitea.APIToken
			want.RegistrationTokens[0].Token = c.RegistrationTokens[0].Token
			want.Pools[0].Labels = c.Pools[0].Labels
			want.Pools[0].Container.DockerAccess = DockerSocket
			want.Limits.Runners = 20
			if c.Gateway != nil { // as there is none by default, all of it is commented
				want.Gateway = &Gateway{Listen: ":8088", PublicURL: "https://runners.example.com", TLS: c.Gateway.TLS,
					PassThrough: PassRunners, TrustedProxies: []string{}, PerToken: 60}
				want.HTTP = &HTTP{Listen: "127.0.0.1:9180", TLS: c.HTTP.TLS, PasswordFile: c.HTTP.PasswordFile,
					TrustedProxies: []string{}, Read: ReadAnyone, RunnerImage: "gitea/runner:latest"}
				want.Notifications = []Notification{{
					Name: "ops", URL: Value{text: "https://alerts.example.com/scaler"}, Method: "POST", Headers: map[string]Value{},
					Events: defaultEvents(), Pools: []string{}, OverdueAfter: 10 * time.Minute, Batch: 20,
					Rate: NotificationRate{Messages: 20, Per: time.Hour}, RequestTimeout: 10 * time.Second,
				}}
				want.Peers = &Peers{Self: "build-1", Handover: 10 * time.Second, Daemons: []Peer{{Name: "build-1", Weight: 1}, {Name: "build-2", Weight: 1}}}
				want.Webhook = &Webhook{Listen: ":8089", Path: "/webhook", PublicURL: "http://build-1.internal:8089", Secret: c.Webhook.Secret}
			}
			equal(t, c, want)
		})
	}
}

func TestAliasesAndMergeKeys(t *testing.T) {
	badEnv(t)
	c := mustParse(t, minimal+`    container: &box
      env: &env {A: "1", B: "2"}
      network: ci
  - name: other
    registration_token: instance
    labels: ["linux:host"]
    image: gitea/runner
    container:
      <<: *box
      env: {<<: [*env, {C: "3"}], B: "9"}
`)
	got := c.Pools[1].Container
	if got.Network != "ci" || !reflect.DeepEqual(got.Env, map[string]string{"A": "1", "B": "9", "C": "3"}) {
		t.Errorf("network %q, env %v", got.Network, got.Env)
	}
}

func TestLoadMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v; want ErrNotExist", err)
	}
}

func TestProblemsAreErrors(t *testing.T) {
	first := Problem{File: "a.yaml", Line: 3, Path: "pools", Message: "wrong"}
	var err error = fmt.Errorf("load: %w", Problems{first, {File: "a.yaml", Line: 9, Message: "worse"}})
	if want := "load: a.yaml:3: pools: wrong\na.yaml:9: worse"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	var one Problem
	if !errors.As(err, &one) || one != first {
		t.Errorf("errors.As gives %v", one)
	}
}

func TestWarnings(t *testing.T) {
	badEnv(t)
	docker := strings.Replace(minimal, "linux:host", "u:docker://ubuntu", 1)
	tests := []struct{ name, config, want string }{
		{"nothing", minimal, ""},
		{"docker label without docker", docker, "reach no Docker"},
		{"docker label with dind", docker + "    container: {docker_access: dind}\n", ""},
		{"docker label with an engine elsewhere", docker + "    container: {env: {DOCKER_HOST: tcp://docker}}\n", ""},
		{"docker label with the runner's own setting", docker + "    runner_config: {container: {docker_host: tcp://docker}}\n", ""},
		{"runner says little", minimal + "    runner_config: {log: {level: WARN}}\n", "log.level warn"},
		{"runner says much", minimal + "    runner_config: {log: {level: debug}}\n", ""},
		{"socket", minimal + "    container: {docker_access: socket}\n", "master of this host"},
		{"a limit that does not bound a pool", minimal + "limits: {cpus: 4}\n", "pool linux has no container.cpus, so limits.cpus does not bound it"},
		{"a reserve that does not bound a pool", minimal + "limits: {reserve: {memory: 1g}}\n", "pool linux has no container.memory, so limits.reserve.memory does not bound it"},
		{"a limit that bounds all pools", minimal + "    min: 2\n    container: {cpus: 2}\nlimits: {cpus: 4}\n", ""},
		{"min beyond a limit", minimal + "    min: 3\n    container: {memory: 2g}\nlimits: {memory: 5g}\n", "limits.memory of 5GiB is less than the 6GiB that the pools' min take together"},
		{"pressure of this machine", minimal + "limits: {pressure: {cpu: 80}}\n", ""},
		{"pressure of another machine", minimal + "limits: {pressure: {free_disk: 5g}}\ndocker: {host: tcp://docker:2375}\n", "not at that of docker.host"},
		{"pressure of another machine by ssh", minimal + "limits: {pressure: {cpu: 80}}\ndocker: {host: ssh://docker}\n", "not at that of docker.host"},
		{"no pressure, another machine", minimal + "docker: {host: tcp://docker:2375}\n", ""},
		{"notification in clear", minimal + "notifications: [{name: a, url: 'http://alerts.example.com/'}]\n", "notification a: it is sent without encryption"},
		{"notification nearby", minimal + "notifications: [{name: a, url: 'http://10.0.0.5:8080/'}, {name: b, url: 'http://localhost/'}, {name: c, url: 'https://a.example.com/'}]\n", ""},
		{"certificate", strings.Replace(minimal, "  api_token", "  tls: {insecure_skip_verify: true}\n  api_token", 1), "not checked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(mustParse(t, tt.config).Warnings(), "\n")
			if got == "" != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
