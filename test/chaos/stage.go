package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// engine is a container engine. As an http.Handler it is what the daemon talks
// to, behind the gate.
type engine interface {
	http.Handler
	// socket is the harness's own way in.
	socket() string
	// image is the runners' image, and idle the command of a container of it
	// that runs and does nothing.
	image() string
	idle() []string
	// images are names of such images: that one, and others.
	images() []string
	// swarm reports whether runners are services of its Swarm.
	swarm() bool
	// restart takes the engine down and brings it up again, by SIGKILL or
	// SIGTERM. Where that cannot be, it does nothing.
	restart(ctx context.Context, kill bool) error
	close(ctx context.Context) error
}

// stage is what a world plays on: all but the daemon.
type stage struct {
	id       string // of this run, unique
	dir      string
	instance string // the daemon's id
	url      string // of Gitea
	gitea    *giteatest.Server
	web      *http.Server
	tokens   []scopeToken
	engine   engine
	own      *engineClient // past the gate
	gate     *gate
}

// scopeToken is a registration token and the file that the daemon reads it
// from.
type scopeToken struct {
	scope plan.Scope
	file  string
	value string
}

// newStage sets everything up that the daemon does not talk to.
func newStage(dir, id string, kind giteatest.Options, eng engine) (*stage, error) {
	s := &stage{id: id, dir: dir, engine: eng, own: newEngineClient(eng.socket())}
	store, err := state.Open(s.stateDir()) // makes the instance id
	if err != nil {
		return nil, err
	}
	s.instance = store.Instance()
	if err := store.Close(); err != nil {
		return nil, fmt.Errorf("close state: %w", err)
	}
	kind.APIToken = rand.Text()
	s.gitea = giteatest.New(kind)
	s.tokens = []scopeToken{
		{scope: plan.Scope{Kind: plan.ScopeInstance}, file: filepath.Join(dir, "instance-token")},
		{scope: plan.Scope{Kind: plan.ScopeOrg, Owner: orgName}, file: filepath.Join(dir, "org-token")},
	}
	for i := range s.tokens {
		if err := s.resetToken(i, true); err != nil {
			return nil, err
		}
	}
	return s, os.WriteFile(filepath.Join(dir, "api-token"), []byte(kind.APIToken), 0o600)
}

func (s *stage) stateDir() string   { return filepath.Join(s.dir, "state") }
func (s *stage) configFile() string { return filepath.Join(s.dir, "scaler.yaml") }

// resetToken replaces a registration token at the server, and in its file if
// told to.
func (s *stage) resetToken(i int, file bool) error {
	t := &s.tokens[i]
	t.value = s.gitea.ResetToken(t.scope)
	if !file {
		return nil
	}
	return s.writeToken(i)
}

// writeToken puts the present registration token into its file.
func (s *stage) writeToken(i int) error {
	if err := replaceFile(s.tokens[i].file, []byte(s.tokens[i].value)); err != nil {
		return fmt.Errorf("write registration token: %w", err)
	}
	return nil
}

// open serves Gitea and the engine behind what wraps them.
func (s *stage) open(gitea, engine http.Handler) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for Gitea: %w", err)
	}
	s.url = "http://" + ln.Addr().String()
	s.web = &http.Server{Handler: gitea, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = s.web.Serve(ln) }()
	s.gate = &gate{path: filepath.Join(s.dir, "g.sock"), handler: engine}
	return s.gate.open()
}

// containers returns the names of the daemon's runners of which the engine has
// something: a container or, in a Swarm, a service, secret or config.
func (s *stage) containers(ctx context.Context) ([]string, error) {
	if s.engine.swarm() {
		return s.own.runnersOfSwarm(ctx, labelInstance+"="+s.instance)
	}
	all, err := s.own.list(ctx, labelInstance+"="+s.instance)
	var names []string
	for _, c := range all {
		if name := c.Labels[labelRunner]; name != "" {
			names = append(names, name)
		}
	}
	return names, err
}

// runners returns the runners at Gitea that are the daemon's, with their ids.
func (s *stage) runners() map[string]int64 {
	ours := map[string]int64{}
	for _, r := range s.gitea.State().Runners {
		if s.ours(r.Name) {
			ours[r.Name] = r.ID
		}
	}
	return ours
}

// ours reports whether a runner's name is one that the daemon gives.
func (s *stage) ours(name string) bool {
	rest, found := strings.CutPrefix(name, "scaler-"+s.instance+"-")
	return found && !strings.HasSuffix(rest, foreignSuffix)
}

// records returns the daemon's records, which no daemon may have open.
func (s *stage) records() ([]state.Record, error) {
	store, err := state.OpenReadOnly(s.stateDir())
	if err != nil {
		return nil, err
	}
	records, err := store.Records()
	return records, errors.Join(err, store.Close())
}

// close takes the stage down. Containers that carry the run's label are
// removed, whosever they are.
func (s *stage) close(ctx context.Context) error {
	var errs []error
	all, err := s.own.list(ctx, testLabel+"="+s.id)
	errs = append(errs, err)
	for _, c := range all {
		errs = append(errs, s.own.remove(ctx, c.ID))
	}
	if s.gate != nil {
		s.gate.shut()
	}
	if s.web != nil {
		errs = append(errs, s.web.Close())
	}
	s.gitea.Close()
	return errors.Join(append(errs, s.engine.close(ctx))...)
}
