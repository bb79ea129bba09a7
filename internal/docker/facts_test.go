package docker

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestFacts(t *testing.T) {
	socket := socketPath(t)
	fakeEngine(t, socket, map[string]http.HandlerFunc{
		"GET /version": says(`{"Version":"20.10.24","ApiVersion":"1.41","Os":"linux","Arch":"amd64"}`),
		"GET /info": says(`{"KernelVersion":"6.1.0","OperatingSystem":"Debian GNU/Linux 12","Name":"build-1","CgroupVersion":"2","CgroupDriver":"systemd",
			"Driver":"overlay2","DockerRootDir":"/var/lib/docker","MemoryLimit":true,"CpuCfsQuota":true,"PidsLimit":true,
			"SystemTime":"2026-03-01T12:00:00.5Z","Runtimes":{"runc":{},"runsc":{}},"SecurityOptions":["name=seccomp,profile=default","name=rootless"],"Warnings":["No swap limit support"]}`),
	})
	f, err := fakeClient(t, Config{Host: "unix://" + socket}).Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if since := time.Since(f.Asked); since < 0 || since > time.Minute {
		t.Errorf("asked %s ago", since)
	}
	f.Asked = time.Time{}
	want := Facts{
		Address: "unix://" + socket, Version: "20.10.24", API: "1.41", OS: "linux", Arch: "amd64", Kernel: "6.1.0", System: "Debian GNU/Linux 12",
		Name: "build-1", Cgroups: "2", CgroupDriver: "systemd", Storage: "overlay2", Root: "/var/lib/docker", Rootless: true,
		MemoryLimit: true, CPULimit: true, PidsLimit: true, Runtimes: []string{"runc", "runsc"}, Warnings: []string{"No swap limit support"},
		Clock: time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.UTC),
	}
	if !reflect.DeepEqual(f, want) || !f.Local() || (Facts{Address: "tcp://h:1"}).Local() {
		t.Errorf("got %+v\nwant %+v", f, want)
	}
	fakeEngine(t, socket+"2", map[string]http.HandlerFunc{"GET /version": says(`{"Version":"20.10.24"}`)})
	if _, err := fakeClient(t, Config{Host: "unix://" + socket + "2"}).Facts(t.Context()); err == nil || !strings.Contains(err.Error(), "ask docker about itself") {
		t.Errorf("error is %v", err)
	}
}

func TestLookUpAndOffered(t *testing.T) {
	socket := socketPath(t)
	fakeEngine(t, socket, map[string]http.HandlerFunc{
		"GET /images/here:1/json":       says(`{"Id":"sha256:1","Os":"linux","Architecture":"arm64","Size":1000,"Created":"2026-03-01T12:00:00Z"}`),
		"GET /distribution/here:1/json": says(`{"Platforms":[{"os":"linux","architecture":"amd64"},{"os":"linux","architecture":"arm64"}]}`),
		"GET /distribution/secret:1/json": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Registry-Auth") == "" {
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, `{"message":"errors: denied: requested access to the resource is denied"}`)
				return
			}
			_, _ = io.WriteString(w, `{"Platforms":[]}`)
		},
		"GET /images/json": says(`[{"RepoTags":["b:2","a:1"]},{"RepoTags":null},{"RepoTags":["<none>:<none>"]},{"RepoTags":["a:1"]}]`),
	})
	auth := func() (string, plan.Secret, string, error) { return "ci", "password", "", nil }
	noAuth := func() (string, plan.Secret, string, error) { return "", "", "", errors.New("no file") }
	e := fakeClient(t, Config{Host: "unix://" + socket, Pools: map[string]Options{
		"here": {Image: "here:1"}, "gone": {Image: "gone:1"}, "denied": {Image: "secret:1"}, "login": {Image: "secret:1", Auth: auth}, "broken": {Image: "secret:1", Auth: noAuth},
	}})
	i, err := e.LookUp(t.Context(), "here")
	if want := (Image{ID: "sha256:1", OS: "linux", Arch: "arm64", Size: 1000, Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}); err != nil || i != want {
		t.Errorf("LookUp() = %+v, %v", i, err)
	}
	if _, err := e.LookUp(t.Context(), "gone"); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("LookUp of what is not there: %v", err)
	}
	if p, err := e.Offered(t.Context(), "here"); err != nil || !slices.Equal(p, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("Offered() = %v, %v", p, err)
	}
	if _, err := e.Offered(t.Context(), "login"); err != nil {
		t.Errorf("Offered() with credentials: %v", err)
	}
	for pool, text := range map[string]string{"denied": "give the pool registry credentials", "broken": "registry credentials: no file", "gone": "ask the registry for gone:1"} {
		if _, err := e.Offered(t.Context(), pool); !errors.Is(err, plan.ErrImage) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", pool, err)
		}
	}
	for _, err := range []error{func() error { _, err := e.LookUp(t.Context(), "x"); return err }(), func() error { _, err := e.Offered(t.Context(), "x"); return err }()} {
		if err == nil || !strings.Contains(err.Error(), `unknown pool "x"`) {
			t.Errorf("unknown pool: %v", err)
		}
	}
	if names, err := e.Names(t.Context()); err != nil || !slices.Equal(names, []string{"a:1", "b:2"}) {
		t.Errorf("Names() = %v, %v", names, err)
	}
}
