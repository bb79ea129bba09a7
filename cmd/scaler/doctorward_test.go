package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/giteatest"
)

const doctorToken = "api-token-of-the-doctor-0123456789"

// ward is a Gitea, an engine and a configuration that are all well, to be made
// ill one thing at a time.
type ward struct {
	server *giteatest.Server
	before func(http.Handler) http.Handler // what stands before the server, if not nil
	engine map[string]string               // answers by request; "" is 500
	yaml   string                          // the configuration, to be changed
	dir    string
	url    string
	socket string // of the engine
}

const goodFacts = `{"KernelVersion":"6.1.0","OperatingSystem":"Debian GNU/Linux 12","CgroupVersion":"2","Driver":"overlay2","DockerRootDir":"/nonexistent",
	"MemoryLimit":true,"SwapLimit":true,"CpuCfsQuota":true,"PidsLimit":true,"NCPU":4,"MemTotal":8000000000,"SystemTime":"NOW"}`

func newWard(t *testing.T, o giteatest.Options) *ward {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ward") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &ward{dir: dir, socket: filepath.Join(dir, "docker.sock"), engine: map[string]string{
		"GET /version":                      `{"Version":"28.0.0","ApiVersion":"1.41","Os":"linux","Arch":"amd64"}`,
		"GET /info":                         goodFacts,
		"GET /images/example/runner:1/json": `{"Id":"sha256:1","Os":"linux","Architecture":"amd64","Size":1000}`,
		"GET /networks/bridge":              `{"IPAM":{"Config":[{"Gateway":"172.17.0.1"}]}}`,
		"GET /containers/json":              `[]`,
		"GET /images/json":                  `[]`,
	}}
	if o.APIToken == "" {
		o.APIToken = doctorToken
	}
	o.RegistrationToken = "registration-token-of-the-doctor"
	w.server = giteatest.New(o)
	t.Cleanup(w.server.Close)
	w.serve(t)
	w.serveEngine(t)
	write(t, filepath.Join(dir, "api-token"), doctorToken+"\n")
	write(t, filepath.Join(dir, "registration-token"), "registration-token-of-the-doctor\n")
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.yaml = fmt.Sprintf(`gitea: {url: %q, api_token: {file: api-token}, request_timeout: 2s}
registration_tokens:
  - {name: instance, scope: instance, token: {file: registration-token}}
pools:
  - {name: linux, registration_token: instance, labels: ["linux:host"], image: "example/runner:1", max: 3, container: {}}
docker: {host: "unix://%s"}
state_dir: %[3]s/state
control_socket: %[3]s/none.sock
`, w.url, w.socket, dir)
	return w
}

// serve serves the Gitea.
func (w *ward) serve(t *testing.T) {
	network := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		var h http.Handler = w.server
		if w.before != nil {
			h = w.before(h)
		}
		h.ServeHTTP(out, r)
	}))
	t.Cleanup(network.Close)
	w.url = network.URL
}

// serveEngine serves the engine on its socket.
func (w *ward) serveEngine(t *testing.T) {
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/_ping" {
			out.Header().Set("Api-Version", "1.41")
			return
		}
		out.Header().Set("Content-Type", "application/json")
		text, known := w.engine[r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v1.41")]
		switch {
		case !known:
			out.WriteHeader(http.StatusNotFound)
			text = `{"message":"no such object"}`
		case text == "":
			out.WriteHeader(http.StatusInternalServerError)
			text = `{"message":"refused by the engine"}`
		}
		_, _ = io.WriteString(out, strings.ReplaceAll(text, "NOW", time.Now().Format(time.RFC3339Nano)))
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
}

// config writes the configuration and returns its path.
func (w *ward) config(t *testing.T) string {
	t.Helper()
	path := filepath.Join(w.dir, "scaler.yaml")
	write(t, path, w.yaml)
	return path
}

// change replaces a part of the configuration, which has to be there.
func (w *ward) change(t *testing.T, old, new string) {
	t.Helper()
	if !strings.Contains(w.yaml, old) {
		t.Fatalf("%q is not in\n%s", old, w.yaml)
	}
	w.yaml = strings.ReplaceAll(w.yaml, old, new)
}

// examine runs scaler doctor --json.
func (w *ward) examine(t *testing.T, args ...string) (doctorReport, int) {
	t.Helper()
	out, errs, code := runCommand(t, append([]string{"doctor", "--json", "--unit", "none.service", "-c", w.config(t)}, args...)...)
	var report doctorReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || errs != "" {
		t.Fatalf("exit code %d, %s\n%s%v", code, errs, out, err)
	}
	if strings.Contains(out, doctorToken) || strings.Contains(out, "registration-token-of-the-doctor") {
		t.Errorf("a secret is in the output:\n%s", out)
	}
	return report, code
}

// wantFound checks that there is a finding with the result, of which the parts
// are to be in its subject, detail and remedy.
func wantFound(t *testing.T, list []doctor.Finding, result doctor.Result, parts ...string) {
	t.Helper()
	for _, f := range list {
		text := f.Subject + ": " + f.Detail + " TO DO " + f.Remedy
		all := f.Result == result
		for _, part := range parts {
			all = all && strings.Contains(text, part)
		}
		if all {
			if (result == doctor.ResultFailed || result == doctor.ResultWarning) && f.Remedy == "" {
				t.Errorf("there is no remedy for %s", text)
			}
			return
		}
	}
	t.Errorf("no finding is %s with %q, in\n%s", result, parts, (&doctorView{}).lines(list))
}

// mode changes the mode of a file.
func mode(t *testing.T, path string, m os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, m); err != nil {
		t.Fatal(err)
	}
}

// dated makes a server say another time.
func dated(off time.Duration) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			h.ServeHTTP(w, r)
		})
	}
}

// one runs one check alone.
func one(t *testing.T, run func(context.Context, *doctor.Report)) []doctor.Finding {
	t.Helper()
	return doctor.Run(t.Context(), []doctor.Check{{ID: "one", Timeout: time.Minute, Run: run}}, nil)
}

// old is a server of another release.
func old(name string) giteatest.Options {
	p, err := giteatest.ParseProfile(name)
	if err != nil {
		panic(err)
	}
	return giteatest.Options{Profile: p}
}
