// Package config turns one strict YAML file into a validated Config.
//
// The structs below are the single source of the file's format: the decoder,
// the JSON Schema and the reference of all keys are derived from their fields
// and tags. The invariant that the package protects: a Config that Load or
// Parse returns needs no further check, and holds no secret, only references
// to secrets that could be read.
//
// The tags of a field are
//
//	yaml      the key
//	doc       what it means
//	required  "true": the key must be there
//	default   the value, written as YAML, that holds where the key is missing
//	enum      the values allowed, separated by spaces
//	min, max  bounds, in the notation of the value itself
//	pattern   a regular expression that the text must match
//	rule      the pattern in words
//	format    a notation beyond the Go type, see scalarParser
//	example   a value to show in messages and in the schema
//	restart   "true": a change of it takes effect after a restart only
//	private   "true": it may hold a secret that somebody has put there, so that
//	          its value is shown to nobody
package config

import (
	"log/slog"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Config is a whole configuration with all defaults filled in. It is not
// changed after it was loaded, so that it can be shared without a lock.
type Config struct {
	Gitea              *Gitea              `yaml:"gitea" restart:"true" doc:"The Gitea server. Where there are several: servers."`
	Servers            []Server            `yaml:"servers" restart:"true" doc:"In place of gitea: several servers, each with pools and registration_tokens of its own. See docs/operations.md."`
	RegistrationTokens []RegistrationToken `yaml:"registration_tokens" required:"true" doc:"The tokens that runners are registered with, each for one scope."`
	Pools              []Pool              `yaml:"pools" default:"[]" doc:"The pools of runners. Which of them a job goes to that several could take: see docs/policy.md. A daemon with a gateway needs none."`
	Gateway            *Gateway            `yaml:"gateway" restart:"true" doc:"Where runners, also those of others, register with the daemon's own registration tokens: see scaler token. Without it there is none."`
	HTTP               *HTTP               `yaml:"http" restart:"true" doc:"Listener for people and Prometheus: the pages and /metrics. Without it there is none."`
	Webhook            *Webhook            `yaml:"webhook" restart:"true" doc:"Where Gitea sends its workflow_job events, which make scaler look at once. Without it the polls do."`
	Notifications      []Notification      `yaml:"notifications" default:"[]" doc:"Where it is told what happens: breakers that open, jobs that wait too long and the like. See docs/notifications.md."`
	Peers              *Peers              `yaml:"peers" doc:"Other daemons that serve the same jobs, each on its own engine: see docs/scaling-out.md. Without it this one serves all jobs."`
	Limits             Limits              `yaml:"limits" doc:"Limits over all pools together."`
	PollInterval       time.Duration       `yaml:"poll_interval" default:"1s" min:"100ms" doc:"How often the server is asked for jobs."`
	PollActive         time.Duration       `yaml:"poll_active" default:"250ms" min:"50ms" doc:"How often it is asked while something happens: a job comes, begins or ends, an event arrives. After that the polls become rarer: a thirtieth of the time since then passes between two, until that is poll_interval. Each time costs the server a few milliseconds of CPU. It is never more than poll_interval."`
	PollQuiet          time.Duration       `yaml:"poll_quiet" default:"5s" min:"100ms" doc:"How often it is asked when nothing has happened for five minutes and the webhook's events are known to arrive. It is never less than poll_interval."`
	StateDir           string              `yaml:"state_dir" restart:"true" default:"/var/lib/scaler" format:"absolute" doc:"Directory of the daemon's own records. It is made with mode 0700 if it is missing."`
	ControlSocket      string              `yaml:"control_socket" restart:"true" default:"/run/scaler/scaler.sock" format:"absolute" doc:"Unix socket on which the running daemon answers the commands status, runner and the like."`
	Log                Log                 `yaml:"log" doc:"The daemon's log, written to standard error."`
	OnShutdown         ShutdownMode        `yaml:"on_shutdown" default:"leave" enum:"leave drain" doc:"What SIGTERM does to the runners: leave lets them run, to be adopted at the next start; drain stops the idle ones and waits for the busy ones."`
	ShutdownTimeout    time.Duration       `yaml:"shutdown_timeout" default:"5m" min:"0s" doc:"How long drain waits for busy runners before the daemon ends without them."`
	Engine             EngineKind          `yaml:"engine" restart:"true" default:"docker" enum:"docker swarm" doc:"What runs the containers: docker is the engine itself; swarm is the Swarm that it is a manager of, with each runner as a service on one of its nodes. See docs/scaling-out.md."`
	Instance           string              `yaml:"instance" restart:"true" default:"" pattern:"^([0-9a-f]{12})?$" rule:"12 digits and letters from a to f" example:"5ca1e4000001" doc:"The id by which the daemon knows what is its own, as docker ps shows it in the label io.scaler.instance. If empty it is made at the first start and kept in state_dir. Set it where state_dir may be lost. No two daemons may have the same."`
	Docker             Docker              `yaml:"docker" doc:"The Docker engine that runs the containers."`
	Drain              Drain               `yaml:"drain" doc:"How a runner is taken out of service."`
}

// ShutdownMode says what becomes of the runners when the daemon ends.
type ShutdownMode string

// The shutdown modes.
const (
	ShutdownLeave ShutdownMode = "leave"
	ShutdownDrain ShutdownMode = "drain"
)

// Gitea says where the server is and how to talk to it. Both URLs are without
// a trailing slash.
type Gitea struct {
	URL            string        `yaml:"url" required:"true" format:"url" example:"https://git.example.com" doc:"Base URL of the server as the runners reach it."`
	InternalURL    string        `yaml:"internal_url" format:"url" example:"http://gitea:3000" doc:"Base URL of the server as the daemon reaches it. Default: the same as url."`
	APIToken       SecretRef     `yaml:"api_token" required:"true" doc:"Token for the server's API. It needs write:admin of an administrator for scope instance, write:organization for org:NAME, write:user for user:NAME, write:repository for repo:OWNER/NAME."`
	TLS            TLS           `yaml:"tls" doc:"How the server's certificate is checked by the daemon. What the runners do is set in their runner_config (runner.insecure)."`
	RequestTimeout time.Duration `yaml:"request_timeout" default:"10s" min:"100ms" doc:"How long one request to the server may take."`
}

// TLS says how the server's certificate is checked.
type TLS struct {
	CAFile             string `yaml:"ca_file" format:"file" example:"/etc/scaler/ca.pem" doc:"PEM file of certificate authorities to trust beside the usual ones. A relative path starts at the directory of this file."`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify" default:"false" doc:"Accept any certificate. Whoever sits between then reads the API token."`
}

// RegistrationToken is what the runners of a scope are registered with:
// either a token that is kept somewhere, or one that the server is asked for.
type RegistrationToken struct {
	Name    string     `yaml:"name" required:"true" pattern:"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$" rule:"letters and digits, with dashes, dots and underscores between them, 64 characters at most" example:"instance" doc:"The name by which pools refer to the token."`
	Server  string     `yaml:"server" example:"acme" doc:"With servers: the name of the one that it is for."`
	Scope   plan.Scope `yaml:"scope" required:"true" example:"org:acme" doc:"Whose jobs the runners take: instance, org:NAME, user:NAME or repo:OWNER/NAME."`
	Token   *SecretRef `yaml:"token" doc:"The registration token. It is read at each use, so that a replaced file takes effect at once."`
	Enabled bool       `yaml:"enabled" default:"true" doc:"false: nothing is registered with it, and its pools start nothing. Takes effect as soon as the file is written."`
	Mint    bool       `yaml:"mint" default:"false" doc:"Instead of token: ask the server's API for the scope's registration token. From Forgejo 15 on there is none: the API makes the runner."`
}

// Pool is a set of runners that are made alike.
type Pool struct {
	Name              string           `yaml:"name" required:"true" pattern:"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$" rule:"lower-case letters and digits, with dashes between them, 32 characters at most" example:"linux" doc:"Name of the pool; runners and containers are named after it."`
	Server            string           `yaml:"server" example:"acme" doc:"With servers: the name of the one whose jobs it takes."`
	RegistrationToken string           `yaml:"registration_token" required:"true" example:"instance" doc:"Name of one of the registration_tokens."`
	Registration      RegistrationMode `yaml:"registration" default:"daemon" enum:"daemon container" doc:"Who registers its runners: the daemon, so that no token enters the container; or the container itself, with a single-use token of the gateway, for images that insist on it."`
	Runner            RunnerProgram    `yaml:"runner" default:"auto" enum:"auto gitea forgejo" doc:"Which runner the image has: gitea or forgejo, or auto for that of the server. Gitea's image starts by itself; Forgejo's, of version 12.8 or newer, is given the command forgejo-runner one-job, or daemon with ephemeral: false. With container.command or container.entrypoint it makes no difference."`
	Labels            []plan.Label     `yaml:"labels" required:"true" example:"[\"linux:host\"]" doc:"The runners' labels, as NAME:host, NAME:docker://IMAGE or NAME. A job is taken if all of its runs-on are among the names. A docker label needs container.docker_access."`
	Image             string           `yaml:"image" required:"true" format:"image" example:"gitea/runner:latest" doc:"Image of the runner's container."`
	Min               int              `yaml:"min" default:"0" min:"0" doc:"Runners kept in any case."`
	Idle              Idle             `yaml:"idle" default:"0" min:"0" doc:"Ready runners kept beyond the busy ones; with auto as many as target_wait takes, by how jobs arrive: see docs/policy.md."`
	TargetWait        *TargetWait      `yaml:"target_wait" example:"{p95: 2s}" doc:"With idle: auto, how long jobs may wait over a week, as one of p50, p90, p95 and p99. Default: {p95: 2s}."`
	IdleMax           *int             `yaml:"idle_max" min:"1" example:"8" doc:"With idle: auto, ready runners at most. Default: max."`
	Max               int              `yaml:"max" default:"10" min:"1" doc:"Runners at most, whatever their state."`
	Standby           int              `yaml:"standby" default:"0" min:"0" doc:"Runners kept made ahead: registered, with a container that is not started, so that a start is all that a job waits for. Gitea lists them as offline. Not with registration: container."`
	IdleTimeout       time.Duration    `yaml:"idle_timeout" default:"5m" min:"0s" doc:"How long a runner that is not needed stays idle before it is stopped."`
	Ramp              *Ramp            `yaml:"ramp" example:"{starts: 5, per: 1m}" doc:"How quickly the pool grows: at most so many starts within any stretch of so long. Without it there is no such limit."`
	CoolDown          time.Duration    `yaml:"cool_down" default:"0s" min:"0s" max:"24h" doc:"How long no surplus runner is stopped after the pool has started one, or a job has come to one of its runners."`
	BootTimeout       time.Duration    `yaml:"boot_timeout" default:"2m" min:"1s" doc:"How long a runner may take from its container's start until it is online."`
	Ephemeral         bool             `yaml:"ephemeral" default:"true" doc:"Each runner takes one job and goes. Where the server, older than Gitea 1.24 or Forgejo 15, knows no such runners, the runner itself ends after its job."`
	MaxLifetime       time.Duration    `yaml:"max_lifetime" default:"0s" min:"0s" example:"24h" doc:"How long the container of a persistent runner may run before the runner is replaced, once it has no job; 0 is no limit. Needs ephemeral: false."`
	MaxJobs           int              `yaml:"max_jobs" default:"0" min:"0" doc:"How many jobs a persistent runner has before it is replaced; 0 is no limit. Needs ephemeral: false."`
	MaxUnavailable    plan.Portion     `yaml:"max_unavailable" default:"1" doc:"How many runners may be missing at a time, as a number or as a share of max like 25%, while outdated ones are replaced: those made before the image or the pool's settings changed, or older than max_lifetime."`
	ShutdownTimeout   time.Duration    `yaml:"shutdown_timeout" default:"3h" min:"0s" doc:"How long a runner that was told to stop may go on with its job. It is given to the runner as runner.shutdown_timeout."`
	RunnerConfig      RunnerConfig     `yaml:"runner_config" private:"true" default:"{}" example:"{runner: {envs: {TZ: Europe/Berlin}}}" doc:"Settings for the runner's own configuration file, into which they are merged. Not checked, except that runner.file, runner.capacity, runner.labels and runner.shutdown_timeout belong to the daemon. At a server that does not say which runner has which job (Gitea before 1.25, Forgejo) the runners' logs do, so log.level has to be info, trace or debug there."`
	Priority          int              `yaml:"priority" default:"0" min:"-1000" max:"1000" doc:"Pools of a higher priority are served first: where the limits do not suffice for all, and with a job that several pools could take."`
	Weight            int              `yaml:"weight" default:"1" min:"1" max:"1000" doc:"The pool's share of the runners where the limits do not suffice for all pools of its priority: with 3 it gets three for each of a pool with 1."`
	MaxPerRepo        int              `yaml:"max_per_repo" default:"0" min:"0" doc:"Runners of the pool at most that are busy with jobs of one repository, or started for them; its other jobs wait, or go to another pool. 0 is no limit."`
	MaxPerOwner       int              `yaml:"max_per_owner" default:"0" min:"0" doc:"The same for all repositories of one owner together."`
	Schedule          []Window         `yaml:"schedule" default:"[]" doc:"Windows of time with other numbers. Of several that hold at once the last one counts, alone: see docs/policy.md."`
	Container         Container        `yaml:"container" doc:"How the runner's container is made."`
}

// RunnerConfig is the YAML document that is put into the container as the
// runner's configuration: the user's settings with the daemon's merged in.
type RunnerConfig []byte

// Limits bounds all pools together.
type Limits struct {
	Runners        int     `yaml:"runners" default:"0" min:"0" doc:"Runners of all pools together at most, also over several servers; 0 is no limit."`
	CPUs           float64 `yaml:"cpus" default:"0" min:"0" max:"1000000" example:"16" doc:"CPUs of all runners together at most, as their pools' container.cpus say; 0 is no limit."`
	Memory         int64   `yaml:"memory" default:"0" format:"size" min:"0" example:"32g" doc:"Memory of all runners together at most, as their pools' container.memory say; 0 is no limit."`
	Reserve        Reserve `yaml:"reserve" doc:"What the runners leave of the machine that Docker runs on; cpus and memory are no more than the rest of it."`
	Registrations  int     `yaml:"registrations" default:"600" min:"1" doc:"Runners registered per minute at most, a sixth of them at once; with several servers, at each. It bounds what an unforeseen fault can do to the server."`
	ParallelStarts int     `yaml:"parallel_starts" default:"0" min:"0" max:"64" doc:"How many runners are started at the same time at most; with several servers, for each. 0 is two for each CPU of the engine, 16 at most: more would make each start slower, and all together no quicker. Where the engine takes more than five seconds for a start it becomes fewer by itself, for as long as it cannot keep up. Twice as many are removed at the same time."`

	Pressure Pressure `yaml:"pressure" restart:"true" doc:"Limits on the load of the machine that the daemon runs on, beyond which nothing new starts; what runs goes on."`
}

// Reserve is what is left to others of the machine that Docker runs on.
type Reserve struct {
	CPUs   float64 `yaml:"cpus" default:"0" min:"0" max:"1000000" example:"1" doc:"CPUs that are not given to runners."`
	Memory int64   `yaml:"memory" default:"0" format:"size" min:"0" example:"2g" doc:"Memory that is not given to runners."`
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level `yaml:"level" default:"info" enum:"debug info warn error" doc:"The least severe messages that are logged."`
	Format LogFormat  `yaml:"format" restart:"true" default:"text" enum:"text json" doc:"How a message is written."`
}

// LogFormat is a way to write log messages.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Docker says which engine to use.
type Docker struct {
	Host    string        `yaml:"host" restart:"true" default:"" example:"unix:///var/run/docker.sock" doc:"Address of the engine: unix://, tcp://, or ssh://USER@HOST, for which the daemon runs the program ssh. If empty: the environment's DOCKER_HOST, else the usual socket. See docs/scaling-out.md."`
	Context string        `yaml:"context" restart:"true" default:"" example:"far" doc:"Instead of host: a context of the docker command, as docker context ls names it, of the daemon's user or in its DOCKER_CONFIG."`
	TLS     *DockerTLS    `yaml:"tls" restart:"true" doc:"Certificates for a host at tcp://. Without it: those in the environment's DOCKER_CERT_PATH."`
	Prepull bool          `yaml:"prepull" default:"true" doc:"Make the images of all pools available when the daemon starts and every refresh, so that no start has to wait for it."`
	Refresh time.Duration `yaml:"refresh" default:"1h" min:"0s" doc:"How old the last pull of an image with container.pull always may be when a container is made; it is pulled again before, in the background. Missing images and networks are looked for as often. At least 1m; 0 is for always to pull for every container, and for looking only when the daemon starts."`
}

// Drain is how a runner is taken out of service.
type Drain struct {
	Settle time.Duration `yaml:"settle" default:"10s" min:"0s" doc:"How long after disabling a runner it may still be given a job by a request that began before. It is stopped only after that."`
}
