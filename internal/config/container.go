package config

import "time"

// Container says how the containers of a pool are made. Where a zero value
// has no meaning of its own, it leaves the matter to the image or the engine.
type Container struct {
	Pull         PullPolicy    `yaml:"pull" default:"missing" enum:"missing always never" doc:"When the image is pulled before a container is made. always: when its last pull is older than docker.refresh, and for every container if that is 0 or docker.prepull is false."`
	PullTimeout  time.Duration `yaml:"pull_timeout" default:"10m" min:"1s" doc:"How long a pull may take."`
	RegistryAuth *RegistryAuth `yaml:"registry_auth" doc:"Credentials for the image's registry."`

	DataDir    string   `yaml:"data_dir" default:"/data" format:"absolute" doc:"The runner's working directory in the container, where .runner and config.yaml are put. It must be the image's own."`
	Command    []string `yaml:"command" private:"true" default:"[]" example:"[daemon]" doc:"The command instead of the image's."`
	Entrypoint []string `yaml:"entrypoint" private:"true" default:"[]" example:"[/sbin/tini, --]" doc:"The entrypoint instead of the image's."`

	Env        map[string]string `yaml:"env" private:"true" default:"{}" format:"verbatim" example:"{TZ: Europe/Berlin}" doc:"Environment variables. Whoever may inspect the container reads them: no secrets here."`
	Network    string            `yaml:"network" default:"" example:"gitea_default" doc:"Network of the container; empty is Docker's default bridge."`
	ExtraHosts []string          `yaml:"extra_hosts" default:"[]" example:"[\"git.example.com:10.0.0.5\"]" doc:"Host names to add, as HOST:IP; the IP may be host-gateway."`
	DNS        []string          `yaml:"dns" default:"[]" example:"[10.0.0.53]" doc:"IP addresses of DNS servers."`

	Binds   []string          `yaml:"binds" default:"[]" example:"[\"/srv/cache:/cache:ro\"]" doc:"Directories of the host, as /HOST:/CONTAINER or /HOST:/CONTAINER:OPTIONS."`
	Volumes []string          `yaml:"volumes" default:"[]" example:"[\"cache:/cache\"]" doc:"Named volumes, as NAME:/CONTAINER or NAME:/CONTAINER:OPTIONS; /CONTAINER alone is a new volume for each runner, which goes with it."`
	Tmpfs   map[string]string `yaml:"tmpfs" default:"{}" example:"{/tmp: \"size=1g\"}" doc:"In-memory file systems, from path to mount options."`

	DockerAccess DockerAccess `yaml:"docker_access" default:"none" enum:"none socket dind" doc:"How jobs reach Docker. none: not at all. socket: the host's own engine, which makes every job master of the host. dind: an engine inside the container, which is privileged and whose image must bring the engine."`
	DockerSocket string       `yaml:"docker_socket" default:"/var/run/docker.sock" format:"absolute" doc:"The socket on the host for docker_access socket."`
	Privileged   bool         `yaml:"privileged" default:"false" doc:"Give the container all rights on the host. docker_access dind implies it."`
	User         string       `yaml:"user" default:"" format:"verbatim" example:"\"1000:1000\"" doc:"User, or USER:GROUP, instead of the image's."`
	CapAdd       []string     `yaml:"cap_add" default:"[]" example:"[NET_ADMIN]" doc:"Linux capabilities to add."`
	CapDrop      []string     `yaml:"cap_drop" default:"[]" example:"[ALL]" doc:"Linux capabilities to drop."`
	SecurityOpt  []string     `yaml:"security_opt" default:"[]" example:"[\"no-new-privileges\"]" doc:"Security options, as for docker run --security-opt."`
	Runtime      string       `yaml:"runtime" default:"" example:"runsc" doc:"OCI runtime instead of the engine's default."`
	Devices      []string     `yaml:"devices" default:"[]" example:"[/dev/kvm]" doc:"Devices, as /dev/X, /dev/X:/dev/Y or /dev/X:/dev/Y:rwm, or by CDI name."`
	GPUs         string       `yaml:"gpus" default:"" format:"verbatim" example:"\"device=0,1\"" doc:"GPUs: all, a count, or device=ID,ID."`

	CPUs       float64           `yaml:"cpus" default:"0" min:"0" example:"1.5" doc:"CPUs at most; 0 is no limit."`
	Memory     int64             `yaml:"memory" default:"0" format:"size" min:"0" example:"4g" doc:"Memory at most; 0 is no limit."`
	MemorySwap int64             `yaml:"memory_swap" default:"0" format:"size" min:"-1" example:"8g" doc:"Memory and swap together at most; -1 is no limit, 0 leaves it to the engine. Needs memory."`
	Pids       int64             `yaml:"pids" default:"0" min:"-1" example:"4096" doc:"Processes at most; -1 is no limit, 0 leaves it to the engine."`
	ShmSize    int64             `yaml:"shm_size" default:"0" format:"size" min:"0" example:"256m" doc:"Size of /dev/shm; 0 leaves it to the engine (64m)."`
	Ulimits    map[string]string `yaml:"ulimits" default:"{}" format:"verbatim" example:"{nofile: \"65536:65536\"}" doc:"Resource limits, from name to SOFT or SOFT:HARD; -1 is no limit."`

	Swarm Placement `yaml:"swarm" doc:"With engine: swarm, which nodes run the containers."`

	LogDriver  string            `yaml:"log_driver" default:"" example:"json-file" doc:"Log driver instead of the engine's default."`
	LogOptions map[string]string `yaml:"log_options" private:"true" default:"{}" format:"verbatim" example:"{max-size: 10m}" doc:"Options of the log driver."`
	Labels     map[string]string `yaml:"labels" private:"true" default:"{}" format:"verbatim" example:"{com.example.team: ci}" doc:"Labels of the container, not to be confused with the runner's. Those that begin with io.scaler. belong to the daemon."`
}

// PullPolicy says when an image is pulled before a container is made from it.
type PullPolicy string

// The pull policies.
const (
	PullMissing PullPolicy = "missing" // if the engine does not have it
	PullAlways  PullPolicy = "always"  // for every container, or once in docker.refresh
	PullNever   PullPolicy = "never"   // the engine must have it
)

// DockerAccess says how the jobs of a pool reach Docker.
type DockerAccess string

// The kinds of access.
const (
	DockerNone   DockerAccess = "none"
	DockerSocket DockerAccess = "socket" // the host's engine
	DockerDind   DockerAccess = "dind"   // an engine inside the container
)

// RegistryAuth is what the engine logs in to an image's registry with.
type RegistryAuth struct {
	Username string    `yaml:"username" required:"true" example:"ci" doc:"User name at the registry."`
	Password SecretRef `yaml:"password" required:"true" doc:"Password or access token. It is read at each pull."`
	Server   string    `yaml:"server" default:"" example:"registry.example.com" doc:"Address of the registry. If empty: the one that the image names."`
}

// RunnerProgram says which runner an image has.
type RunnerProgram string

// The runner programs.
const (
	RunnerAuto    RunnerProgram = "auto" // that of the server's product
	RunnerGitea   RunnerProgram = "gitea"
	RunnerForgejo RunnerProgram = "forgejo"
)
