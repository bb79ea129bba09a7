package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
)

func TestTargetOf(t *testing.T) {
	tests := []struct {
		path string
		want target
	}{
		{service + "Register", toRegister},
		{service + "Deregister", toDeregister},
		{service + "Declare", toDeclare},
		{service + "FetchTask", toFetch},
		{service + "UpdateTask", toServer},
		{service + "UpdateLog", toServer},
		{"/api/actions/ping.v1.PingService/Ping", toServer},
		{"/api/actions/", toNowhere},
		{"/api/actions", toNowhere},
		{"/api/actions/one", toNowhere},
		{"/api/actions/one/two/three", toNowhere},
		{"/api/actions_pipeline/_apis/pipelines/workflows/7/artifacts", toServer},
		{"/api/actions_pipelines/x", toOther},
		{"/twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact", toServer},
		{"/twirp/github.actions.results.api.v1.OtherService/CreateArtifact", toOther},
		{"/api/v1/repos/acme/app/releases", toServer},
		{"/api/v1/repos/acme/app/branches/feature%2Fone", toServer},
		{"/api/v1/repos/acme/app/contents/a%20b.txt", toServer},
		{"/api/v1/repos/acme/app/contents/api/actions/x.go", toServer},
		{"/api/v1", toOther},
		{"/api/v1/../../user/login", toOther},
		{"/api/v1/%2e%2e/%2e%2e/user/login", toOther},
		{"/api/v1/..%2f..%2fuser/login", toOther},
		{"/api/v1/%252e%252e/%252e%252e/user/login", toOther},
		{"/acme/app/info/refs", toServer},
		{"/acme/app.git/info/refs", toServer},
		{"/acme/app/git-upload-pack", toServer},
		{"/acme/app.git/git-receive-pack", toServer},
		{"/acme/app.git/info/lfs/objects/batch", toServer},
		{"/acme/app.git/info/lfs/../../../user/login", toOther},
		{"/../app/info/refs", toOther},
		{"/acme/app/settings", toOther},
		{"/acme//app/info/refs", toOther},
		{"/user/login", toOther},
		{"/", toOther},
		{"", toOther},
		{"*", toOther},
		{"/npm/@scope%2fname", toOther},
		{`/api/v1/..\..\user/login`, toOther},
		{"/api/actions/runner.v1.RunnerServiCe/UpdateTask", toNowhere},
		{"/api/actions/x.runner.v1.RunnerService/UpdateTask", toNowhere},
		{"/api/actions/../UpdateTask", toNowhere},
		{"/a%25252525b", toNowhere},
	}
	for _, tt := range tests {
		if got := targetOf(tt.path); got != tt.want {
			t.Errorf("%s goes to %d, want %d", tt.path, got, tt.want)
		}
	}
}

// tricks are paths that one server or another takes for that of Register.
var tricks = []string{
	"//api/actions/runner.v1.RunnerService/Register",
	"/api//actions/runner.v1.RunnerService/Register",
	"/api/actions//runner.v1.RunnerService/Register",
	"/api/actions/runner.v1.RunnerService//Register",
	"/api/actions/runner.v1.RunnerService/Register/",
	"/api/actions/runner.v1.RunnerService/Register//",
	"/api/actions/runner.v1.RunnerService/Register/.",
	"/api/actions/runner.v1.RunnerService/Register/x/..",
	"/./api/actions/runner.v1.RunnerService/Register",
	"/api/./actions/runner.v1.RunnerService/Register",
	"/api/x/../actions/runner.v1.RunnerService/Register",
	"/../api/actions/runner.v1.RunnerService/Register",
	"/api/actions/runner.v1.RunnerService/../runner.v1.RunnerService/Register",
	"/api/v1/../actions/runner.v1.RunnerService/Register",
	"/api/actions_pipeline/../actions/runner.v1.RunnerService/Register",
	"/twirp/github.actions.results.api.v1.ArtifactService/../../api/actions/runner.v1.RunnerService/Register",
	"/acme/app/info/lfs/../../../../api/actions/runner.v1.RunnerService/Register",
	"/api/%2e/actions/runner.v1.RunnerService/Register",
	"/api/v1/%2e%2e/actions/runner.v1.RunnerService/Register",
	"/api/v1/%252e%252e/actions/runner.v1.RunnerService/Register",
	"/api/v1/..%2factions%2frunner.v1.RunnerService%2fRegister",
	"/api%2factions%2frunner.v1.RunnerService%2fRegister",
	"/api%2Factions/runner.v1.RunnerService/Register",
	"/api/actions/runner.v1.RunnerService%2FRegister",
	"/api/actions/runner.v1.RunnerService%252FRegister",
	"/api/actions/runner.v1.RunnerService/%52egister",
	"/api/actions/runner.v1.RunnerService/%2552egister",
	"/api/actions/runner%2ev1%2eRunnerService/Register",
	"/%61pi/%61ctions/runner.v1.RunnerService/Register",
	"/api/actions/runner.v1.RunnerService/Register%2f",
	"/api/actions/runner.v1.RunnerService/Register%20",
	"/api/actions/runner.v1.RunnerService/Register%00",
	"/api/actions/runner.v1.RunnerService/Register;x",
	"/api/actions/runner.v1.RunnerService/Register%3Fx",
	"/api/actions/runner.v1.RunnerService/Register%23x",
	"/api/actions/runner.v1.RunnerService/register",
	"/api/actions/runner.v1.RunnerService/REGISTER",
	"/API/ACTIONS/RUNNER.V1.RUNNERSERVICE/REGISTER",
	"/Api/Actions/runner.v1.RunnerService/Register",
	`/api\actions\runner.v1.RunnerService\Register`,
	"/api%5cactions%5crunner.v1.RunnerService%5cRegister",
	"/gitea/api/actions/runner.v1.RunnerService/Register",
	"/runner.v1.RunnerService/Register",
}

// eager is an upstream that takes for Register what any server might.
type eager struct{ registered []string }

// ServeHTTP implements http.Handler.
func (e *eager) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	p := r.RequestURI
	for range 5 {
		if decoded, err := url.PathUnescape(p); err == nil {
			p = decoded
		}
	}
	p = strings.ToLower(path.Clean(strings.ReplaceAll(p, `\`, "/")))
	if strings.Contains(p, "runnerservice") && strings.Contains(p, "/register") {
		e.registered = append(e.registered, r.RequestURI)
	}
}

func TestTricksWithThePath(t *testing.T) {
	for _, all := range []bool{false, true} {
		server := &eager{}
		rig := newFrontRig(t, rigOptions{upstream: server, config: func(c *Config) { c.PassAll = all }})
		for _, p := range tricks {
			for _, method := range []string{"POST", "GET", "PUT"} {
				if status := rig.raw(t, method, p); status != http.StatusNotFound && status != http.StatusBadRequest {
					t.Errorf("pass all %t: %s %s is answered %d", all, method, p, status)
				}
			}
		}
		for _, p := range server.registered {
			t.Errorf("pass all %t: %s reached the server", all, p)
		}
		if n := rig.gitea.State().Counts.Registrations; n != 0 {
			t.Errorf("%d registrations", n)
		}
		// The test itself works: what may pass does.
		if status := rig.raw(t, "POST", "/api/v1/version"); status != http.StatusOK {
			t.Errorf("version is answered %d", status)
		}
		if len(rig.upstream.take()) != 1 {
			t.Error("only the version should have reached the server")
		}
	}
}

func TestRoutes(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "server has ", r.URL.Path) })
	tests := []struct {
		name, public, path string
		all                bool
		status             int
		want               string
	}{
		{name: "health", path: "/healthz", status: 200, want: "ok\n"},
		{name: "health at the root", public: "/gw", path: "/healthz", status: 200, want: "ok\n"},
		{name: "health below the path", public: "/gw", path: "/gw/healthz", status: 200, want: "ok\n"},
		{name: "needed", path: "/api/v1/version", status: 200, want: "server has /api/v1/version"},
		{name: "needed, below a path", public: "/gw/", path: "/gw/api/v1/version", status: 200, want: "server has /api/v1/version"},
		{name: "outside the path", public: "/gw", path: "/api/v1/version", status: 404, want: "the instance address of runners is"},
		{name: "beside the path", public: "/gw", path: "/gwx/api/v1/version", status: 404, want: "the instance address of runners is"},
		{name: "not needed", path: "/user/login", status: 404, want: "passes on only what runners and their jobs need"},
		{name: "not needed, but all passes", path: "/user/login", all: true, status: 200, want: "server has /user/login"},
		{name: "Register by GET", path: service + "Register", status: 405},
		{name: "Deregister by GET", path: service + "Deregister", status: 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rig := newFrontRig(t, rigOptions{upstream: ok, config: func(c *Config) {
				c.PublicURL += tt.public
				c.PassAll = tt.all
			}})
			status, body := rig.get(t, "http://"+rig.addr+tt.path)
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("%d %q, want %d %q", status, body, tt.status, tt.want)
			}
			if passed := len(rig.upstream.take()); (passed > 0) != strings.HasPrefix(tt.want, "server has") {
				t.Errorf("%d requests reached the server", passed)
			}
		})
	}
}

func TestPlainHTTPFromAPublicAddress(t *testing.T) {
	tests := []struct {
		name  string
		proto string
		allow bool
		want  connect.Code // 0 is success
	}{
		{name: "is refused", proto: "http", want: connect.CodePermissionDenied},
		{name: "is allowed", proto: "http", allow: true},
		{name: "was https as far as the proxy", proto: "https"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rig := newFrontRig(t, rigOptions{config: func(c *Config) {
				c.AllowPlainHTTP = tt.allow
				c.TrustedProxies = append(c.TrustedProxies, rigProxy)
			}})
			for _, d := range dialects {
				req := connect.NewRequest(&runnerv1.RegisterRequest{Name: "r", Token: rig.token.Reveal()})
				req.Header().Set("X-Forwarded-For", "192.0.2.7")
				req.Header().Set("X-Forwarded-Proto", tt.proto)
				_, err := rig.runners(d).Register(t.Context(), req)
				if tt.want == 0 && err != nil || tt.want != 0 && connect.CodeOf(err) != tt.want {
					t.Errorf("%s: %v, want %s", d.name, err, tt.want)
				}
			}
			want := len(dialects)
			if tt.want != 0 {
				want = 0
			}
			if n := rig.gitea.State().Counts.Registrations; n != want {
				t.Errorf("%d registrations, want %d", n, want)
			}
		})
	}
}

func TestServeEndsInOrder(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		fmt.Fprint(w, "done")
	})
	rig := newFrontRig(t, rigOptions{upstream: slow})
	answer := make(chan string, 1)
	go func() {
		_, body := rig.get(t, rig.url+"/api/v1/version")
		answer <- body
	}()
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- rig.stop() }()
	for { // until the listener is closed
		conn, err := net.Dial("tcp", rig.addr)
		if err != nil {
			break
		}
		conn.Close()
	}
	close(release)
	if body := <-answer; body != "done" {
		t.Errorf("the request under way got %q", body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeEndsInTime(t *testing.T) {
	arrived := make(chan struct{})
	stuck := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	rig := newFrontRig(t, rigOptions{upstream: stuck, limits: func(l *limits) { l.shutdown = 50 * time.Millisecond }})
	failed := make(chan error, 1)
	go func() {
		_, err := rig.client.Get(rig.url + "/api/v1/version")
		failed <- err
	}()
	<-arrived
	if err := rig.stop(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the stuck request got an answer")
	}
}
