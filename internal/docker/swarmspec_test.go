package docker

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
)

func TestServiceSpec(t *testing.T) {
	o := Options{
		Image: "example/runner:1", Env: map[string]string{"TZ": "UTC"}, Command: []string{"daemon"}, User: "1000:1001", Network: "ci",
		ExtraHosts: []string{"git.example.com:10.0.0.5", "six.example.com:[fd00::1]"}, DNS: []string{"10.0.0.53"}, Binds: []string{"/srv/cache:/cache:ro"}, Volumes: []string{"shared:/shared", "/own"},
		Tmpfs: map[string]string{"/tmp": "size=1g,mode=1777"}, CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, CPUs: 1.5, Memory: 1 << 30, Pids: 100,
		Ulimits: []string{"nofile=10:20"}, LogDriver: "journald", Labels: map[string]string{"team": "ci", LabelInstance: "another"},
		Swarm: SwarmOptions{Constraints: []string{"node.labels.ci==yes"}, Spread: []string{"node.labels.zone"}, Platforms: []string{"linux/amd64"}, ReserveCPUs: 0.5, Generic: map[string]int64{"gpu": 2}, Finish: time.Hour},
	}
	got, err := o.serviceSpec(identity{"i", "p", "r"}, "example/runner:1@sha256:1")
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"team": "ci", LabelInstance: "i", LabelPool: "p", LabelRunner: "r"}
	none, grace := uint64(0), time.Hour+graceMargin
	want := swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: "r", Labels: labels},
		Mode:        swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &none}},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{
				Image: "example/runner:1@sha256:1", Labels: labels, Args: []string{"daemon"}, Env: []string{"CONFIG_FILE=/data/config.yaml", "TZ=UTC"}, User: "1000:1001",
				Hosts: []string{"10.0.0.5 git.example.com", "fd00::1 six.example.com"}, DNSConfig: &swarm.DNSConfig{Nameservers: []string{"10.0.0.53"}}, StopGracePeriod: &grace,
				CapabilityAdd: []string{"NET_ADMIN"}, CapabilityDrop: []string{"ALL"}, Ulimits: []*container.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}},
				Mounts: []mount.Mount{
					{Type: mount.TypeBind, Source: "/srv/cache", Target: "/cache", ReadOnly: true},
					{Type: mount.TypeVolume, Source: "shared", Target: "/shared"},
					{Type: mount.TypeVolume, Target: "/own"},
					{Type: mount.TypeTmpfs, Target: "/tmp", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 30, Mode: os.FileMode(0o1777)}},
				},
			},
			Resources: &swarm.ResourceRequirements{
				Limits:       &swarm.Limit{NanoCPUs: 15e8, MemoryBytes: 1 << 30, Pids: 100},
				Reservations: &swarm.Resources{NanoCPUs: 5e8, MemoryBytes: 1 << 30, GenericResources: []swarm.GenericResource{{DiscreteResourceSpec: &swarm.DiscreteGenericResource{Kind: "gpu", Value: 2}}}},
			},
			RestartPolicy: &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone},
			Placement: &swarm.Placement{
				Constraints: []string{"node.labels.ci==yes"}, Preferences: []swarm.PlacementPreference{{Spread: &swarm.SpreadOver{SpreadDescriptor: "node.labels.zone"}}},
				Platforms: []swarm.Platform{{OS: "linux", Architecture: "amd64"}},
			},
			Networks:  []swarm.NetworkAttachmentConfig{{Target: "ci"}},
			LogDriver: &swarm.Driver{Name: "journald"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\n\t%+v\nwant %+v\n\t%+v", got, got.TaskTemplate.ContainerSpec, want, want.TaskTemplate.ContainerSpec)
	}
}

// What a service cannot have is refused, and not left out.
func TestNotInSwarm(t *testing.T) {
	for want, o := range map[string]Options{
		"cannot be privileged":     {Privileged: true},
		"service cannot be privil": {Access: AccessDind},
		"cannot have devices":      {Devices: []string{"/dev/kvm"}},
		"use generic resources":    {GPUs: "all"},
		"choose its runtime":       {Runtime: "runsc"},
		"security options":         {SecurityOpt: []string{"no-new-privileges"}},
		"/dev/shm":                 {ShmSize: 1},
		"swap":                     {Memory: 1 << 30, MemorySwap: -1},
		"processes":                {Pids: -1},
		"UID:GID":                  {User: "runner"},
		"ro and rw only":           {Binds: []string{"/a:/b:rshared"}},
		"size and mode only":       {Tmpfs: map[string]string{"/tmp": "exec"}},
		"write one like 1g":        {Tmpfs: map[string]string{"/tmp": "size=x"}},
		"write one like 1777":      {Tmpfs: map[string]string{"/tmp": "mode=9"}},
		"OS/ARCHITECTURE":          {Swarm: SwarmOptions{Platforms: []string{"amd64"}}},
	} {
		o.Image = "x"
		_, err := NewSwarm(Config{Instance: "i", Pools: map[string]Options{"linux": o}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "pool linux") {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
