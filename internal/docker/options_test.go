package docker

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"
)

func TestContainerConfig(t *testing.T) {
	id := identity{"i", "p", "r"}
	pids := int64(-1)
	baseConfig := func() *container.Config {
		return &container.Config{
			Image: "img", Env: []string{"CONFIG_FILE=/data/config.yaml"}, Volumes: map[string]struct{}{},
			Labels: map[string]string{LabelInstance: "i", LabelPool: "p", LabelRunner: "r"},
		}
	}
	for _, tc := range []struct {
		name   string
		in     Options
		config func(*container.Config)
		host   func(*container.HostConfig)
	}{
		{name: "least"},
		{
			name:   "environment is sorted and CONFIG_FILE is fixed",
			in:     Options{DataDir: "/work/", Env: map[string]string{"B": "2", "A": "1=1", "CONFIG_FILE": "/x"}},
			config: func(c *container.Config) { c.Env = []string{"CONFIG_FILE=/work/config.yaml", "A=1=1", "B=2"} },
		},
		{
			name:   "our labels win",
			in:     Options{Labels: map[string]string{"a": "b", LabelInstance: "stolen", LabelRunner: "x"}},
			config: func(c *container.Config) { c.Labels["a"] = "b" },
		},
		{
			name: "an empty entrypoint or command is the image's own",
			in:   Options{Entrypoint: []string{}, Command: []string{}},
		},
		{
			name: "command and user",
			in:   Options{Entrypoint: []string{"/e"}, Command: []string{"c", "d"}, User: "1000:1000"},
			config: func(c *container.Config) {
				c.Entrypoint, c.Cmd, c.User = []string{"/e"}, []string{"c", "d"}, "1000:1000"
			},
		},
		{
			name: "network",
			in:   Options{Network: "ci", DNS: []string{"1.1.1.1"}, ExtraHosts: []string{"a:1.2.3.4", "b=::1", "h:host-gateway"}},
			host: func(h *container.HostConfig) {
				h.NetworkMode, h.DNS = "ci", []string{"1.1.1.1"}
				h.ExtraHosts = []string{"a:1.2.3.4", "b:::1", "h:host-gateway"}
			},
		},
		{
			name:   "mounts",
			in:     Options{Binds: []string{"/a:/b:ro"}, Volumes: []string{"cache:/data/cache", "/anon/"}, Tmpfs: map[string]string{"/t": "size=1m"}},
			config: func(c *container.Config) { c.Volumes["/anon"] = struct{}{} },
			host: func(h *container.HostConfig) {
				h.Binds, h.Tmpfs = []string{"/a:/b:ro", "cache:/data/cache"}, map[string]string{"/t": "size=1m"}
			},
		},
		{
			name: "socket",
			in:   Options{Access: AccessSocket, Socket: "unix:///run/user/1/docker.sock"},
			host: func(h *container.HostConfig) {
				h.Binds = []string{"/run/user/1/docker.sock:/var/run/docker.sock"}
			},
		},
		{
			name: "default socket",
			in:   Options{Access: AccessSocket},
			host: func(h *container.HostConfig) { h.Binds = []string{"/var/run/docker.sock:/var/run/docker.sock"} },
		},
		{
			name:   "dind",
			in:     Options{Access: AccessDind},
			config: func(c *container.Config) { c.Volumes["/var/lib/docker"] = struct{}{} },
			host:   func(h *container.HostConfig) { h.Privileged = true },
		},
		{
			name: "security",
			in: Options{
				CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Runtime: "sysbox-runc", Privileged: true,
				SecurityOpt: []string{"no-new-privileges", "systempaths=unconfined", "seccomp=unconfined", "label:disable"},
			},
			host: func(h *container.HostConfig) {
				h.CapAdd, h.CapDrop, h.Runtime, h.Privileged = []string{"NET_ADMIN"}, []string{"ALL"}, "sysbox-runc", true
				h.SecurityOpt = []string{"no-new-privileges", "seccomp=unconfined", "label:disable"}
				h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
			},
		},
		{
			name: "limits",
			in:   Options{CPUs: 1.1, Memory: 1 << 30, MemorySwap: -1, Pids: -1, ShmSize: 64 << 20, Ulimits: []string{"nofile=10:20", "core=0"}},
			host: func(h *container.HostConfig) {
				h.NanoCPUs, h.Memory, h.MemorySwap, h.PidsLimit, h.ShmSize = 1_100_000_000, 1<<30, -1, &pids, 64<<20
				h.Ulimits = []*units.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}, {Name: "core"}}
			},
		},
		{
			name: "devices",
			in:   Options{Devices: []string{"/dev/kvm", "/dev/a:/dev/b", "/dev/c:r", "/dev/d:/dev/e:rw", "nvidia.com/gpu=all"}, GPUs: "device=0,1"},
			host: func(h *container.HostConfig) {
				h.Devices = []container.DeviceMapping{
					{PathOnHost: "/dev/kvm", PathInContainer: "/dev/kvm", CgroupPermissions: "rwm"},
					{PathOnHost: "/dev/a", PathInContainer: "/dev/b", CgroupPermissions: "rwm"},
					{PathOnHost: "/dev/c", PathInContainer: "/dev/c", CgroupPermissions: "r"},
					{PathOnHost: "/dev/d", PathInContainer: "/dev/e", CgroupPermissions: "rw"},
				}
				h.DeviceRequests = []container.DeviceRequest{
					{Driver: "cdi", DeviceIDs: []string{"nvidia.com/gpu=all"}},
					{DeviceIDs: []string{"0", "1"}, Capabilities: [][]string{{"gpu"}}},
				}
			},
		},
		{
			name: "all gpus",
			in:   Options{GPUs: "all"},
			host: func(h *container.HostConfig) {
				h.DeviceRequests = []container.DeviceRequest{{Count: -1, Capabilities: [][]string{{"gpu"}}}}
			},
		},
		{
			name: "two gpus",
			in:   Options{GPUs: "2"},
			host: func(h *container.HostConfig) {
				h.DeviceRequests = []container.DeviceRequest{{Count: 2, Capabilities: [][]string{{"gpu"}}}}
			},
		},
		{
			name: "log driver",
			in:   Options{LogDriver: "local", LogOptions: map[string]string{"max-size": "1m"}},
			host: func(h *container.HostConfig) {
				h.LogConfig = container.LogConfig{Type: "local", Config: map[string]string{"max-size": "1m"}}
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.Image = "img"
			if err := tc.in.Validate(); err != nil {
				t.Fatal(err)
			}
			config, host, err := tc.in.containerConfig(id)
			if err != nil {
				t.Fatal(err)
			}
			wantConfig := baseConfig()
			wantHost := &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "no"}}
			if tc.config != nil {
				tc.config(wantConfig)
			}
			if tc.host != nil {
				tc.host(wantHost)
			}
			if !reflect.DeepEqual(config, wantConfig) {
				t.Errorf("config\n got %+v\nwant %+v", config, wantConfig)
			}
			if !reflect.DeepEqual(host, wantHost) {
				t.Errorf("host config\n got %+v\nwant %+v", host, wantHost)
			}
		})
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   Options
		want string
	}{
		{"image", Options{}, "no image"},
		{"pull", Options{Pull: "sometimes"}, `pull "sometimes"`},
		{"access", Options{Access: "root"}, `docker access "root"`},
		{"data directory", Options{DataDir: "data"}, `data directory "data"`},
		{"bind over data", Options{Binds: []string{"/srv:/data"}}, `mount "/srv:/data": the runners of a pool cannot share /data`},
		{"volume over data's parent", Options{DataDir: "/a/b", Volumes: []string{"v:/a/"}}, `mount "v:/a/"`},
		{"bind without target", Options{Binds: []string{"/srv"}}, `mount "/srv"`},
		{"volume without path", Options{Volumes: []string{"name"}}, `mount "name"`},
		{"tmpfs over data", Options{Tmpfs: map[string]string{"/data": ""}}, `tmpfs "/data"`},
		{"ulimit", Options{Ulimits: []string{"nofile"}}, `ulimit "nofile"`},
		{"device", Options{Devices: []string{"kvm"}}, `device "kvm"`},
		{"device permissions", Options{Devices: []string{"/dev/kvm:x"}}, `device "/dev/kvm:x"`},
		{"gpus", Options{GPUs: "0"}, `gpus "0"`},
		{"gpu list", Options{GPUs: "device="}, `gpus "device="`},
		{"security option", Options{SecurityOpt: []string{"seccomp"}}, `security option "seccomp"`},
		{"system paths", Options{SecurityOpt: []string{"systempaths=all"}}, `security option "systempaths=all"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.in.Validate()
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "no image") {
				t.Errorf("Validate() = %v, want %q besides the missing image", err, tc.want)
			}
		})
	}
}

func TestLoadSeccomp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "profile.json")
	if err := os.WriteFile(file, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := []string{"seccomp=" + file, "seccomp=unconfined", `seccomp={"b":2}`, "apparmor=x"}
	if err := loadSeccomp(opts); err != nil {
		t.Fatal(err)
	}
	if want := []string{`seccomp={"a":1}`, "seccomp=unconfined", `seccomp={"b":2}`, "apparmor=x"}; !slices.Equal(opts, want) {
		t.Errorf("got %q, want %q", opts, want)
	}
	if err := loadSeccomp([]string{"seccomp=" + file + ".none"}); err == nil {
		t.Error("a missing profile was taken")
	}
}
