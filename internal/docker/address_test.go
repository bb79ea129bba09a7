package docker

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func testAddresses(t *testing.T, r *rig) {
	e := r.engine(t, map[string]Options{
		"p":    {Image: r.image("plain"), Pull: PullNever, Command: []string{"sleep"}},
		"host": {Image: r.image("plain"), Pull: PullNever, Command: []string{"sleep"}, Network: "host"},
	})
	bridged := r.instance + "-bridged"
	id := start(t, e, bridged)
	found, err := e.inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	own := netip.MustParseAddr(containerAddresses(found)[0])
	if err := e.Owns(t.Context(), bridged, netip.AddrFrom16(own.As16())); err != nil {
		t.Errorf("its own address, IPv6-mapped: %v", err)
	}
	err = e.Owns(t.Context(), bridged, netip.MustParseAddr("127.0.0.1"))
	if !errors.Is(err, plan.ErrDenied) || !strings.Contains(err.Error(), "127.0.0.1 is no address of runner "+bridged+", whose container has "+own.String()) {
		t.Errorf("another's address: %v", err)
	}
	hosted := r.instance + "-hosted"
	hostID, err := e.Create(t.Context(), "host", hosted, nil)
	if err == nil {
		err = e.Start(t.Context(), hostID, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Owns(t.Context(), hosted, netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Errorf("an address of the host: %v", err)
	}
	if err := e.Owns(t.Context(), hosted, own); err == nil {
		t.Error("a container in the host's network has the address of another container")
	}
	if err := e.Owns(t.Context(), "no-such", own); err == nil || errors.Is(err, plan.ErrDenied) {
		t.Errorf("a runner that there is not: %v, want that it is not known", err)
	}
}

func testOwnEnvironment(t *testing.T, r *rig) {
	e := r.engine(t, map[string]Options{"p": {Image: r.image("plain"), Pull: PullNever, Command: []string{"env"}, Env: map[string]string{"A": "pool", "B": "pool"}}})
	for runner, env := range map[string]map[string]string{r.instance + "-own-env": {"B": "its own", "C": "its own"}, r.instance + "-none": nil} {
		id, err := e.Create(t.Context(), "p", runner, &plan.Launch{Env: env})
		if err == nil {
			err = e.Start(t.Context(), id, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		ended(t, e, id)
		lines, err := e.Logs(t.Context(), id, 100)
		want := []string{"A=pool", "B=pool"}
		if env != nil {
			want = []string{"A=pool", "B=its own", "C=its own"}
		}
		for _, line := range want {
			if err != nil || !slices.Contains(lines, line) {
				t.Errorf("%s: %q, %v; want %s", runner, lines, err, line)
			}
		}
		if env == nil && slices.Contains(lines, "C=its own") {
			t.Error("the environment of one container came to another")
		}
	}
}

func testWriteFile(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "sleep")
	id := start(t, e, r.instance+"-write", plan.File{Path: "/data/.runner", Mode: 0o600, Data: []byte("secret")})
	if err := e.WriteFile(t.Context(), id, plan.File{Path: "/data/.runner", Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if data, err := e.ReadFile(t.Context(), id, "/data/.runner"); err != nil || len(data) != 0 {
		t.Errorf("the file has %q, %v; want nothing", data, err)
	}
	if c, err := e.Inspect(t.Context(), id); err != nil || c.State != plan.ContainerRunning {
		t.Errorf("container %+v, %v", c, err)
	}
}
