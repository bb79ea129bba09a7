package docker

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/mount"
)

// testOptions starts a container with most options and asks the engine what it
// has understood.
func testOptions(t *testing.T, r *rig) {
	e := r.engine(t, map[string]Options{"p": {
		Image: r.image("plain"), Command: []string{"exit", "0"},
		ExtraHosts: []string{"gitea:10.0.0.1"}, DNS: []string{"10.0.0.2"},
		Binds: []string{t.TempDir() + ":/mnt:ro"}, Volumes: []string{"/scratch"}, Tmpfs: map[string]string{"/run": "size=1m"},
		Access: AccessSocket, User: "0:0", CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"MKNOD"},
		SecurityOpt: []string{"no-new-privileges", "seccomp=unconfined", "systempaths=unconfined"}, Devices: []string{"/dev/null:/dev/nothing:r"},
		CPUs: 0.5, Memory: 64 << 20, MemorySwap: 64 << 20, Pids: 50, ShmSize: 8 << 20, Ulimits: []string{"nofile=64:128"},
		LogDriver: "json-file", LogOptions: map[string]string{"max-size": "1m"}, Labels: map[string]string{"team": "ci"},
	}})
	id := start(t, e, r.instance+"-options")
	if c := ended(t, e, id); c.ExitCode != 0 {
		t.Errorf("exit code %d", c.ExitCode)
	}
	got, err := e.client.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	h := got.HostConfig
	for name, ok := range map[string]bool{
		"extra hosts":    slices.Equal(h.ExtraHosts, []string{"gitea:10.0.0.1"}),
		"dns":            slices.Equal(h.DNS, []string{"10.0.0.2"}),
		"socket":         slices.Contains(h.Binds, "/var/run/docker.sock:/var/run/docker.sock"),
		"tmpfs":          h.Tmpfs["/run"] == "size=1m",
		"capabilities":   slices.Equal(h.CapAdd, []string{"CAP_NET_ADMIN"}) && slices.Equal(h.CapDrop, []string{"CAP_MKNOD"}),
		"security":       slices.Equal(h.SecurityOpt, []string{"no-new-privileges", "seccomp=unconfined"}),
		"system paths":   len(h.MaskedPaths) == 0 && len(h.ReadonlyPaths) == 0,
		"devices":        len(h.Devices) == 1 && h.Devices[0].CgroupPermissions == "r",
		"cpus":           h.NanoCPUs == 500_000_000,
		"memory":         h.Memory == 64<<20 && h.MemorySwap == 64<<20,
		"pids":           h.PidsLimit != nil && *h.PidsLimit == 50,
		"shm":            h.ShmSize == 8<<20,
		"ulimits":        len(h.Ulimits) == 1 && h.Ulimits[0].Hard == 128,
		"log driver":     h.LogConfig.Type == "json-file" && h.LogConfig.Config["max-size"] == "1m",
		"restart policy": h.RestartPolicy.Name == "no" && !h.AutoRemove,
		"labels":         got.Config.Labels["team"] == "ci" && got.Config.Labels[LabelPool] == "p",
		"name":           got.Name == "/"+r.instance+"-options",
		"user":           got.Config.User == "0:0",
	} {
		if !ok {
			t.Errorf("%s: engine has %+v", name, h)
		}
	}
}

func testEnvironment(t *testing.T, r *rig) {
	e := r.engine(t, map[string]Options{"p": {
		Image: r.image("plain"), Command: []string{"env"}, DataDir: "/work",
		Env: map[string]string{"GREETING": "hello  $HOME", "CONFIG_FILE": "/elsewhere"},
	}})
	id := start(t, e, r.instance+"-env")
	ended(t, e, id)
	lines, err := e.Logs(t.Context(), id, 50)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CONFIG_FILE=/work/config.yaml", "GREETING=hello  $HOME"} {
		if !slices.Contains(lines, want) {
			t.Errorf("environment lacks %q: %s", want, strings.Join(lines, " "))
		}
	}
}

// testDind creates without starting: not every engine that tests run on may
// grant all privileges.
func testDind(t *testing.T, r *rig) {
	e := r.engine(t, map[string]Options{"p": {Image: r.image("plain"), Access: AccessDind}})
	id, err := e.Create(t.Context(), "p", r.instance+"-dind", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.client.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if !got.HostConfig.Privileged || len(got.Mounts) != 1 || got.Mounts[0].Destination != "/var/lib/docker" || got.Mounts[0].Type != mount.TypeVolume {
		t.Errorf("privileged %v, mounts %+v", got.HostConfig.Privileged, got.Mounts)
	}
}
