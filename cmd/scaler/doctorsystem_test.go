package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/giteatest"
)

func TestReadUnit(t *testing.T) {
	u := systemdUnit{credentials: map[string]string{}}
	u.read("LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nUser=scaler\nSupplementaryGroups=docker video\nTimeoutStopUSec=1h 6min 30s\nType=notify\n" +
		"Result=success\nNRestarts=2\nLoadCredential=api-token:/etc/scaler/api-token\nLoadCredential=other:relative\nJunk\n")
	if !u.loaded || u.active != "active" || u.enabled != "enabled" || u.user != "scaler" || len(u.groups) != 2 || u.kind != "notify" || u.restarts != 2 ||
		u.stopTimeout != time.Hour+6*time.Minute+30*time.Second || len(u.credentials) != 1 || u.credentials["api-token"] != "/etc/scaler/api-token" {
		t.Errorf("read as %+v", u)
	}
	u.read("ExecStart={ path=/usr/bin/scaler ; argv[]=/usr/bin/scaler run --config /etc/scaler/a.yaml ; ignore_errors=no ; start_time=[n/a] }\n")
	if u.config != "/etc/scaler/a.yaml" {
		t.Errorf("configuration %q", u.config)
	}
	u.read("TimeoutStopUSec=infinity\nLoadState=not-found\n")
	if u.stopTimeout != 0 || u.loaded {
		t.Errorf("read as %+v", u)
	}
}

// TestUnitOfAnotherConfiguration is none of ours, and nor is its user.
func TestUnitOfAnotherConfiguration(t *testing.T) {
	standIn(t, "root\nExecStart={ argv[]=/usr/bin/scaler run -c /etc/scaler/a.yaml ; }", "0")
	if u := findUnit(t.Context(), "scaler.service", "/etc/scaler/b.yaml"); u.loaded || u.config != "/etc/scaler/a.yaml" || u.user != "" {
		t.Errorf("taken for ours: %+v", u)
	}
	if u := findUnit(t.Context(), "scaler.service", "/etc/scaler/a.yaml"); !u.loaded || u.user != "root" {
		t.Errorf("not taken for ours: %+v", u)
	}
	if a := serviceUser(systemdUnit{}, "/srv/scaler.yaml"); a != nil {
		t.Errorf("a user reads a file that is elsewhere: %+v", a)
	}
}

func TestDoctorLooksAtTheService(t *testing.T) {
	good := systemdUnit{name: "scaler.service", loaded: true, active: "active", enabled: "enabled", kind: "notify"}
	drain := &config.Config{OnShutdown: config.ShutdownDrain, ShutdownTimeout: time.Hour}
	for name, tt := range map[string]struct {
		change func(*systemdUnit)
		cfg    *config.Config
		result doctor.Result
		parts  []string
	}{
		"runs":          {func(*systemdUnit) {}, nil, doctor.ResultOK, []string{"unit scaler.service", "active"}},
		"failed":        {func(u *systemdUnit) { u.active, u.result = "failed", "exit-code" }, nil, doctor.ResultFailed, []string{"exit-code", "journalctl -u scaler.service"}},
		"stopped":       {func(u *systemdUnit) { u.active = "inactive" }, nil, doctor.ResultWarning, []string{"inactive", "systemctl enable --now"}},
		"not at boot":   {func(u *systemdUnit) { u.enabled = "disabled" }, nil, doctor.ResultWarning, []string{"next boot", "systemctl enable scaler.service"}},
		"restarts":      {func(u *systemdUnit) { u.restarts = 3 }, nil, doctor.ResultWarning, []string{"3 times", "journalctl"}},
		"wrong type":    {func(u *systemdUnit) { u.kind = "simple" }, nil, doctor.ResultWarning, []string{"Type is simple", "Type=notify"}},
		"killed early":  {func(u *systemdUnit) { u.stopTimeout = time.Minute }, drain, doctor.ResultFailed, []string{"1m0s after a stop", "TimeoutStopSec=3660"}},
		"long enough":   {func(u *systemdUnit) { u.stopTimeout = 2 * time.Hour }, drain, doctor.ResultOK, []string{"active"}},
		"never killed":  {func(u *systemdUnit) { u.stopTimeout = 0 }, drain, doctor.ResultOK, []string{"active"}},
		"another's":     {func(u *systemdUnit) { u.loaded, u.config = false, "/etc/scaler/a.yaml" }, nil, doctor.ResultSkipped, []string{"another configuration, /etc/scaler/a.yaml"}},
		"no such thing": {func(u *systemdUnit) { u.loaded = false }, nil, doctor.ResultSkipped, []string{"does not know it"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &exam{unit: good, cfg: tt.cfg}
			tt.change(&e.unit)
			found := one(t, e.checkService)
			wantFound(t, found, tt.result, tt.parts...)
			if failed := doctor.Count(found, doctor.ResultFailed); (failed > 0) != (tt.result == doctor.ResultFailed) {
				t.Errorf("%d have failed", failed)
			}
		})
	}
}

// TestReach: by modes, as another user would be let in.
func TestReach(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	stranger := &account{name: "stranger", uid: owner.Uid + 1, gid: owner.Gid + 1, groups: []uint32{owner.Gid + 1}}
	member := &account{name: "member", uid: owner.Uid + 1, groups: []uint32{owner.Gid}}
	self := &account{name: "self", uid: owner.Uid}
	file := filepath.Join(dir, "file")
	for _, tt := range []struct {
		dir, file fs.FileMode
		who       *account
		want      fs.FileMode
		err       string
	}{
		{0o755, 0o644, stranger, mayRead, ""},
		{0o755, 0o640, stranger, mayRead, "user stranger cannot read " + file + " (mode 0640, owner "},
		{0o755, 0o640, member, mayRead, ""},
		{0o755, 0o640, member, mayRead | mayWrite, "cannot write to"},
		{0o750, 0o644, stranger, mayRead, "user stranger cannot enter " + dir},
		{0o750, 0o644, member, mayRead, ""},
		{0o700, 0o600, self, mayRead | mayWrite, ""},
		{0o700, 0o004, self, mayRead, "cannot read"}, // the owner's bits count for the owner
	} {
		mode(t, dir, tt.dir)
		mode(t, file, tt.file)
		// The directories above are open to all, or the test's own.
		err := tt.who.has(dir, mayEnter)
		if err == nil {
			err = tt.who.has(file, tt.want)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%04o, %04o, %s: %v, want %q", tt.dir, tt.file, tt.who.name, err, tt.err)
		}
	}
	if err := stranger.reach("/nonexistent/file", mayRead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what does not exist gives %v", err)
	}
	if got := nearest(filepath.Join(dir, "a", "b")); got != dir {
		t.Errorf("nearest is %s", got)
	}
}

// TestDoctorLooksAsTheService: root sees more than the daemon's user does.
func TestDoctorLooksAsTheService(t *testing.T) {
	w := newWard(t, giteatest.Options{})
	mode(t, w.dir, 0o755)
	write(t, filepath.Join(w.dir, "passwords"), "root:$2y$05$abcdefghijklmnopqrstuv\n")
	w.yaml += "http: {listen: \"127.0.0.1:1\", password_file: passwords}\n"
	e := newExam(t.Context(), doctorFlags{config: w.config(t), unit: "none.service"})
	defer e.close(t.Context())
	info, err := os.Stat(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	e.user = &account{name: "daemon-user", uid: owner.Uid + 1000, gid: owner.Gid + 1000, groups: []uint32{owner.Gid + 1000}}
	for name, tt := range map[string]struct {
		run   func(context.Context, *doctor.Report)
		parts []string
	}{
		"configuration": {e.checkConfig, []string{"scaler.yaml", "user daemon-user cannot read", "chgrp daemon-user"}},
		"secrets":       {e.checkSecrets, []string{"api-token", "user daemon-user cannot read", "chmod 0640"}},
		"passwords":     {e.checkSecrets, []string{"/passwords", "user daemon-user cannot read", "chmod 0640"}},
		"state":         {e.checkState, []string{"/state", "user daemon-user cannot write to", "chown -R daemon-user:"}},
		"socket":        {e.checkSocket, []string{"none.sock", "user daemon-user cannot make it", "install -d -m 0750 -o daemon-user"}},
	} {
		t.Run(name, func(t *testing.T) { wantFound(t, one(t, tt.run), doctor.ResultFailed, tt.parts...) })
	}
	mode(t, w.socket, 0o600)
	wantFound(t, one(t, e.checkEngine), doctor.ResultFailed, "docker.sock", "usermod -aG docker daemon-user")
	if err := os.Remove(filepath.Join(w.dir, "state")); err != nil {
		t.Fatal(err)
	}
	wantFound(t, one(t, e.checkState), doctor.ResultFailed, "cannot make it", "install -d -m 0700 -o daemon-user")
	e.unit.loaded = true
	wantFound(t, one(t, e.checkState), doctor.ResultOK, "systemd or the daemon makes it")
	wantFound(t, one(t, e.checkSocket), doctor.ResultOK, "systemd makes its directory")
}

// TestDoctorTakesCredentials: secrets that only the unit has are found.
func TestDoctorTakesCredentials(t *testing.T) {
	t.Setenv(credentialsVariable, "")
	w := newWard(t, giteatest.Options{})
	w.change(t, "{file: api-token}", "{credential: api}")
	e := &exam{unit: systemdUnit{credentials: map[string]string{"api": w.dir + "/api-token"}}}
	if err := e.takeCredentials(); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(w.config(t))
	if err != nil {
		t.Fatal(err)
	}
	if token, err := c.Gitea.APIToken.Read(); err != nil || token.Reveal() != doctorToken {
		t.Errorf("the credential is read as %v", err)
	}
	if left := e.close(t.Context()); left != nil || os.Getenv(credentialsVariable) != "" {
		t.Errorf("left %v, %q", left, os.Getenv(credentialsVariable))
	}
	if _, err := os.Stat(e.credentials); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestDoctorLooksAtSpace(t *testing.T) {
	dir := t.TempDir()
	const much = 1 << 60
	wantFound(t, one(t, func(_ context.Context, r *doctor.Report) { checkSpace(r, dir, much, much, "k") }), doctor.ResultFailed, "only ", "make room", "du -xh")
	wantFound(t, one(t, func(_ context.Context, r *doctor.Report) { checkSpace(r, dir, 1, much, "k") }), doctor.ResultWarning, "make room")
	wantFound(t, one(t, func(_ context.Context, r *doctor.Report) { checkSpace(r, dir, 1, 1, "k") }), doctor.ResultOK, "are free")
	wantFound(t, one(t, func(_ context.Context, r *doctor.Report) { checkSpace(r, "/nonexistent", 1, 1, "k") }), doctor.ResultSkipped, "no such file")
}

// TestRemediesOfAWay: each way to end has a remedy of its own, outside and
// inside of a container.
func TestRemediesOfAWay(t *testing.T) {
	engine, err := docker.New(docker.Config{Host: "unix:///nonexistent/docker.sock", Instance: "i"})
	if err != nil {
		t.Fatal(err)
	}
	e := &exam{cfg: &config.Config{ControlSocket: "/nonexistent/s"}, engine: engine}
	for _, tt := range []struct {
		wrong, url      string
		outside, inside string
	}{
		{wrongName, "http://git.example.com", "getent hosts git.example.com", "container.dns"},
		{wrongPort, "http://git.example.com", "start Gitea", "more than 127.0.0.1"},
		{wrongSilence, "http://git.example.com", "a firewall drops it", "ufw allow"},
		{wrongRoute, "http://git.example.com", "a firewall drops it", "container.network"},
		{wrongCert, "https://git.example.com", "gitea.tls.ca_file", "insecure: true"},
		{wrongProtocol, "https://git.example.com", "http:// in place of https://", "http:// in place of https://"},
		{wrongOther, "https://git.example.com", "curl -v https://git.example.com/api/v1/version", "curl -v"},
		{wrongPort, "http://localhost:3000", "start Gitea", "localhost is the container itself"},
		{wrongPort, "http://127.0.0.1:3000", "start Gitea", "gitea.internal_url can stay http://127.0.0.1:3000"},
	} {
		w := wayFound{URL: tt.url, Step: stepConnect, Wrong: tt.wrong, Error: "it ends"}
		if got := remedyOfStep(w, urlHost(tt.url), "gitea.url"); !strings.Contains(got, tt.outside) {
			t.Errorf("%s outside: %s", tt.wrong, got)
		}
		inside := one(t, func(ctx context.Context, r *doctor.Report) { e.tellInside(ctx, r, "from pool linux", w, false) })
		wantFound(t, inside, doctor.ResultFailed, "it ends at the connection: it ends", tt.inside)
	}
	ask := func(w wayFound, gateway bool) []doctor.Finding {
		return one(t, func(ctx context.Context, r *doctor.Report) { e.tellInside(ctx, r, "from pool linux", w, gateway) })
	}
	wantFound(t, ask(wayFound{URL: "http://h", Status: 200, Proxy: "proxy:3128"}, false), doctor.ResultOK, "HTTP 200, through the proxy proxy:3128")
	wantFound(t, ask(wayFound{URL: "http://h", Status: 502}, false), doctor.ResultFailed, "HTTP 502", "where the proxy leads to")
	wantFound(t, ask(wayFound{URL: "http://h", Step: stepConnect, Wrong: wrongPort}, true), doctor.ResultSkipped, "which does not run")
	soon := wayFound{URL: "https://h", Addresses: []string{"10.0.0.1"}, Remote: "10.0.0.1:443", TLS: "TLS 1.3", Expires: time.Now().Add(24 * time.Hour), Status: 200}
	wantFound(t, one(t, func(_ context.Context, r *doctor.Report) { tellWay(r, soon, "gitea.url") }), doctor.ResultWarning, "the certificate ends in", "renew it")
	named := wayFound{URL: "http://h.example", Step: stepName, Wrong: wrongName, Error: "no such host"}
	wantFound(t, one(t, func(_ context.Context, r *doctor.Report) { tellWay(r, named, "gitea.url") }), doctor.ResultFailed, "name h.example", "no such host", "getent hosts h.example")
}

func TestCannotRun(t *testing.T) {
	self := os.Args[0]
	if why := cannotRun(self, docker.Facts{OS: "linux", Arch: "s390x"}); !strings.Contains(why, "the engine for linux/s390x") {
		t.Errorf("another processor: %q", why)
	}
	if why := cannotRun("/etc/passwd", docker.Facts{OS: "linux"}); !strings.Contains(why, "cannot be read") {
		t.Errorf("no program: %q", why)
	}
}

func TestDoctorKnowsWhatIsItsOwn(t *testing.T) {
	e := &exam{id: "doctor-1700000000-abc"}
	old := "doctor-1600000000-xyz-linux"
	young := "doctor-" + time.Now().Format("20060102") + "9999-xyz" // far in the future
	for name, want := range map[string]bool{"doctor-1700000000-abc-linux": true, old: true, young: false, "scaler-1600000000-x": false, "doctor-x-y": false, "": false} {
		if e.mine(name) != want {
			t.Errorf("%s is ours: %v", name, !want)
		}
	}
}

// TestProofIsNoDaemon: what takes the runner away again must not know those of
// the daemon for its own.
func TestProofIsNoDaemon(t *testing.T) {
	w := newWard(t, giteatest.Options{})
	w.yaml += "instance: 5ca1e4000001\nnotifications: [{name: ops, url: 'http://127.0.0.1:1/x'}]\nhttp: {listen: \"127.0.0.1:1\"}\n"
	w.change(t, "max: 3", "max: 3, min: 2, standby: 1, schedule: [{cron: '0 0 * * *', duration: 24h, max: 9}]")
	c, err := config.Load(w.config(t))
	if err != nil {
		t.Fatal(err)
	}
	alone := proofConfig(c, c.Pools[0], filepath.Join(w.dir, "state", "doctor"))
	p, err := newProof(alone)
	if err != nil {
		t.Fatal(err)
	}
	defer p.parts.close()
	defer p.store.Close()
	if id := p.store.Instance(); id == "" || id == "5ca1e4000001" {
		t.Errorf("its instance is %q", id)
	}
	pool := alone.Pools[0]
	if len(alone.Pools) != 1 || pool.Min != 1 || pool.Max != 1 || pool.Standby != 0 || len(pool.Schedule) != 0 || !strings.HasPrefix(pool.Labels[0].Name, "scaler-doctor-") ||
		pool.Labels[0].Schema != "host" || alone.HTTP != nil || len(alone.Notifications) != 0 || alone.OnShutdown != config.ShutdownDrain {
		t.Errorf("configuration %+v", alone)
	}
	if c.Pools[0].Min != 2 || c.Instance != "5ca1e4000001" {
		t.Error("the configuration itself was changed")
	}
}
