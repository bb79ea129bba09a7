package main

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/doctor"
)

// leftoverAge is how old what another run made has to be before this one clears
// it away: then that run was killed.
const leftoverAge = 30 * time.Minute

// exitPoll is how often a container is looked at until it has ended.
const exitPoll = 50 * time.Millisecond

// The engine of the doctor knows each pool twice: as it is, for its image, and
// as what the probe's container is made from.
const (
	imagePrefix = "image/"
	wayPrefix   = "way/"
)

func imagePool(pool string) string { return imagePrefix + pool }
func wayPool(pool string) string   { return wayPrefix + pool }

// probeBinary is where this program is in its own image.
const probeBinary = "/scaler"

// probePools are the pools of a configuration as the doctor's engine has them.
// The probe's container has what a pool sets but its image, command, mounts and
// user.
func probePools(cfg *config.Config) map[string]docker.Options {
	all := make(map[string]docker.Options)
	for name, o := range dockerPools(cfg) {
		all[imagePool(name)] = o
		all[wayPool(name)] = probeOptions(o)
	}
	return all
}

// probeOptions are those of the probe's container for a pool.
func probeOptions(o docker.Options) docker.Options {
	o.Privileged = o.Privileged || o.Access == docker.AccessDind
	o.Access, o.Socket = docker.AccessNone, ""
	o.Pull, o.Auth, o.Image = docker.PullNever, nil, "scaler-doctor"
	o.DataDir, o.User = "", ""
	o.Binds, o.Volumes, o.Tmpfs = nil, nil, nil
	o.LogDriver, o.LogOptions = "json-file", nil // what it prints is read from there
	return o
}

// wayChecks try the way to Gitea from containers that are made as those of the
// pools.
func (e *exam) wayChecks() []doctor.Check {
	if len(e.cfg.Pools) == 0 {
		return nil
	}
	if e.onSwarm() {
		return []doctor.Check{{ID: "way", Group: groupContainer, Subject: "containers", Timeout: shortCheck, Run: func(_ context.Context, r *doctor.Report) {
			r.Skip("containers", "those of a Swarm run on its nodes, which have no image of this program: --job starts a runner there")
		}}}
	}
	list := []doctor.Check{{ID: "self", Group: groupContainer, Subject: "image of this program", Needs: []string{"docker"}, Timeout: longCheck, Run: e.makeSelf}}
	seen := map[string]bool{}
	for _, p := range e.cfg.Pools {
		alike := fmt.Sprintf("%+v %s", probeOptions(dockerPools(e.cfg)[p.Name]), p.Registration)
		if seen[alike] {
			continue // said already of one that is made the same way
		}
		seen[alike] = true
		list = append(list, doctor.Check{ID: "way." + p.Name, Group: groupContainer, Subject: "from pool " + p.Name, Needs: []string{"self"}, Timeout: longCheck,
			Run: func(ctx context.Context, r *doctor.Report) { e.checkWay(ctx, r, p) }})
	}
	return list
}

// makeSelf makes an image of nothing but this program.
func (e *exam) makeSelf(ctx context.Context, r *doctor.Report) {
	const subject = "image of this program"
	self, err := os.Executable()
	if err != nil {
		r.Skip(subject, "this program is not found: %s", err)
		return
	}
	if why := cannotRun(self, e.facts); why != "" {
		r.Skip(subject, "%s, so the way from inside a container is not tried", why)
		return
	}
	e.pending.Add(1)
	defer e.pending.Done()
	e.self = "scaler-doctor:" + e.id
	if err := e.engine.ImportImage(ctx, e.self, self, []string{probeBinary, "doctor-probe"}, map[string]string{"io.scaler.doctor": "true"}); err != nil {
		r.Fail(subject, err.Error(), "see that Docker has space, and that docker import is allowed where a proxy guards its socket")
		return
	}
	if err := e.engine.SetPools(e.withSelf(), 0); err != nil {
		r.Fail(subject, err.Error(), "correct the pool's container section")
		return
	}
	r.OK(subject, "made, and removed in the end")
}

// withSelf are the pools with the image of this program in the place of each
// probe's.
func (e *exam) withSelf() map[string]docker.Options {
	all := probePools(e.cfg)
	for name, o := range all {
		if strings.HasPrefix(name, wayPrefix) {
			o.Image = e.self
			all[name] = o
		}
	}
	return all
}

// cannotRun says why this program does not run in an empty image of the engine.
func cannotRun(self string, f docker.Facts) string {
	if f.OS != runtime.GOOS || f.Arch != "" && f.Arch != runtime.GOARCH {
		return fmt.Sprintf("this program is for %s/%s and the engine for %s/%s", runtime.GOOS, runtime.GOARCH, f.OS, f.Arch)
	}
	program, err := elf.Open(self)
	if err != nil {
		return "this program cannot be read: " + err.Error()
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return "this program was built with CGO, so that it needs files of this host"
		}
	}
	return ""
}

// checkWay runs this program in a container and reads how far it came.
func (e *exam) checkWay(ctx context.Context, r *doctor.Report, p config.Pool) {
	subject := "container of pool " + p.Name
	if e.self == "" {
		r.Skip(subject, "not tried: there is no image of this program")
		return
	}
	urls := []string{e.cfg.Gitea.URL}
	if p.Registration == config.RegisterByContainer {
		urls = append(urls, e.cfg.Gateway.PublicURL)
	}
	lines, err := e.runProbe(ctx, p.Name, urls)
	if err != nil {
		r.Fail(subject, err.Error(), "correct the pool's container section by what the engine says; docker run with the same options shows the same")
		return
	}
	r.OK(subject, "it starts with the pool's network, limits and rights")
	for i, u := range urls {
		subject := "from pool " + p.Name + " to " + u
		var found wayFound
		if i >= len(lines) || json.Unmarshal([]byte(lines[i]), &found) != nil {
			r.Fail(subject, "the container has not said what it found: "+strings.Join(lines, "; "), "repeat this; if it stays, see docker events")
			continue
		}
		e.tellInside(ctx, r, subject, found, i > 0)
	}
}

// runProbe runs the probe for a pool, and removes its container.
func (e *exam) runProbe(ctx context.Context, pool string, urls []string) (lines []string, err error) {
	e.pending.Add(1)
	defer e.pending.Done()
	o := e.withSelf()[wayPool(pool)]
	o.Entrypoint = []string{probeBinary, "doctor-probe"}
	if e.cfg.Gitea.TLS.CAFile != "" || e.cfg.Gitea.TLS.InsecureSkipVerify {
		o.Entrypoint = append(o.Entrypoint, "--insecure") // the daemon's own check of it says what is wrong
	}
	o.Command = urls
	settings := dockerConfig(e.cfg.Docker)
	settings.Instance, settings.Timeout, settings.Pools = doctorInstance, engineTimeout, map[string]docker.Options{pool: o}
	engine, err := docker.New(settings)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	id, err := engine.Create(ctx, pool, e.id+"-"+pool, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		clearing, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearTimeout)
		defer cancel()
		err = errors.Join(err, engine.Remove(clearing, id, true))
	}()
	if err := engine.Start(ctx, id, nil); err != nil {
		return nil, err
	}
	if err := awaitExit(ctx, engine, id); err != nil {
		return nil, err
	}
	return engine.Logs(ctx, id, 20)
}

// awaitExit waits until a container has ended well.
func awaitExit(ctx context.Context, engine *docker.Engine, id string) error {
	poll := time.NewTicker(exitPoll)
	defer poll.Stop()
	for {
		c, err := engine.Inspect(ctx, id)
		switch {
		case err != nil:
			return err
		case c.Ended && c.ExitCode == 0:
			return nil
		case c.Ended:
			lines, _ := engine.Logs(ctx, id, 5) // the code says most of it
			return fmt.Errorf("the container ended with code %d: %s", c.ExitCode, strings.Join(lines, "; "))
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the container's end: %w", ctx.Err())
		}
	}
}

// tellInside reports what a container found of the way to a URL.
func (e *exam) tellInside(ctx context.Context, r *doctor.Report, subject string, w wayFound, gateway bool) {
	switch {
	case w.Step == "" && w.Status < 500:
		r.OK(subject, "HTTP %d%s", w.Status, through(w))
	case w.Step == "":
		r.Fail(subject, fmt.Sprintf("HTTP %d%s", w.Status, through(w)), "what answers there does not reach Gitea: see that Gitea runs, and where the proxy leads to")
	case gateway && w.Wrong == wrongPort && !e.daemonRuns(ctx):
		r.Skip(subject, "the gateway is served by the daemon, which does not run: start it and repeat this")
	default:
		r.Fail(subject, fmt.Sprintf("it ends at the %s: %s%s", w.Step, w.Error, through(w)), e.remedyInside(ctx, w, gateway))
	}
}

func through(w wayFound) string {
	if w.Proxy == "" {
		return ""
	}
	return ", through the proxy " + w.Proxy
}

// remedyInside says what to do about a way that ends for containers.
func (e *exam) remedyInside(ctx context.Context, w wayFound, gateway bool) string {
	key := "gitea.url"
	if gateway {
		key = "gateway.public_url"
	}
	host := urlHost(w.URL)
	switch {
	case isLoopback(host):
		at := "this host's address"
		if address, err := e.engine.Gateway(ctx); err == nil {
			at = address
		}
		return fmt.Sprintf("inside a container %s is the container itself: write an address of this host in %s that containers reach, such as %s, "+
			"with Gitea listening there; gitea.internal_url can stay %s for the daemon", host, key, at, w.URL)
	case w.Wrong == wrongName:
		return fmt.Sprintf("containers cannot look %s up: set container.dns to a server that knows it, or container.extra_hosts: [\"%[1]s:ADDRESS\"], or container.network to a network where it is known", host)
	case w.Wrong == wrongPort:
		return fmt.Sprintf("nothing listens there for containers: see that it listens on more than 127.0.0.1, and that %s is right", key)
	case w.Wrong == wrongSilence, w.Wrong == wrongRoute:
		return "open the way from Docker's networks to " + host + ": a firewall on this host may drop what comes from containers (ufw allow from 172.16.0.0/12), or container.network is cut off (internal)"
	case w.Wrong == wrongCert:
		return "runners check the certificate by the authorities in their image: use an image that has yours, or set runner_config: {runner: {insecure: true}}"
	}
	return remedyOfStep(w, host, key)
}

func (e *exam) daemonRuns(ctx context.Context) bool { return daemonAnswers(ctx, e.cfg.ControlSocket) }

// clear removes what this run has made in the engine, and what a run left that
// was killed.
func (e *exam) clear(ctx context.Context) error {
	list, err := e.engine.List(ctx)
	for _, c := range list {
		if e.mine(c.Runner) {
			err = errors.Join(err, e.engine.Remove(ctx, c.ID, true))
		}
	}
	images, listErr := e.engine.OwnImages(ctx)
	err = errors.Join(err, listErr)
	if !slices.Contains(images, e.self) {
		images = append(images, e.self) // its import may have failed half way
	}
	for _, name := range images {
		if _, tag, _ := strings.Cut(name, ":"); e.mine(tag) {
			err = errors.Join(err, e.engine.RemoveImage(ctx, name))
		}
	}
	return err
}

// mine reports whether something has a name of this run, or of one that is long
// over.
func (e *exam) mine(name string) bool {
	if strings.HasPrefix(name, e.id) {
		return true
	}
	rest, ok := strings.CutPrefix(name, "doctor-")
	text, _, _ := strings.Cut(rest, "-")
	made, err := strconv.ParseInt(text, 10, 64)
	return ok && err == nil && time.Since(time.Unix(made, 0)) > leftoverAge
}
