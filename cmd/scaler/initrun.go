package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

// setUp is one run of scaler init.
type setUp struct {
	*asker
	flags initFlags
	was   previous
	unit  systemdUnit
	user  *account // of the service, if root sets it up for another

	answers answers
	token   plan.Secret // the API token, once there is one
	login   gitea.Credentials
	who     gitea.Account // whose it is; the login is empty if the token does not say it
	made    string        // name of an API token that this run made
	client  *gitea.Client
	can     plan.Capabilities // of the server
	gateway string            // address of this host for containers, if it is known
	cpus    int               // of the engine's host, 0 if it is not known
	local   []string
	written bool
	left    error // what could not be taken back
}

// answers are what the configuration is written from.
type answers struct {
	URL, InternalURL, CAFile string
	Scope                    plan.Scope
	TokenName                string
	Registration             plan.Secret // empty: Gitea is asked for it
	DockerHost               string
	Access, Image            string
	User                     string // of the container; empty: the image's own
	Pull, Network            string
	Pool                     string
	Labels                   []string
	Max                      int
	WebhookListen            string
	WebhookURL               string
	WebhookSecret            plan.Secret
	StateDir, Socket         string
}

// previous is what an earlier run, or a person, has left.
type previous struct {
	exists bool
	cfg    *config.Config // nil if it cannot be used
	fault  error
	token  plan.Secret // the API token, if it can be read
}

func (p previous) url() string {
	if p.cfg == nil {
		return ""
	}
	return p.cfg.Gitea.InternalURL
}

// pool is the first pool, of which a set-up knows one alone.
func (p previous) pool() (config.Pool, bool) {
	if p.cfg == nil || len(p.cfg.Pools) == 0 {
		return config.Pool{}, false
	}
	return p.cfg.Pools[0], true
}

// registration is the registration token of a scope, if one is kept.
func (p previous) registration(scope plan.Scope) plan.Secret {
	if p.cfg == nil {
		return ""
	}
	for _, t := range p.cfg.RegistrationTokens {
		if t.Scope == scope && t.Token != nil {
			value, _ := t.Token.Read() // else it is asked for
			return value
		}
	}
	return ""
}

// more says what is in a configuration that a set-up does not ask for.
func (p previous) more() string {
	if p.cfg == nil {
		return ""
	}
	var parts []string
	for _, part := range []struct {
		there bool
		what  string
	}{
		{len(p.cfg.Pools) > 1, count(len(p.cfg.Pools), "pool")},
		{len(p.cfg.RegistrationTokens) > 1, count(len(p.cfg.RegistrationTokens), "registration token")},
		{p.cfg.Gateway != nil, "a gateway"}, {p.cfg.HTTP != nil, "pages"}, {len(p.cfg.Notifications) > 0, "notifications"},
		{p.cfg.Peers != nil, "peers"}, {p.cfg.Engine == config.EngineSwarm, "a Swarm"}, {p.cfg.Instance != "", "an instance id"},
		{p.cfg.Limits.Runners > 0, "limits"},
	} {
		if part.there {
			parts = append(parts, part.what)
		}
	}
	return strings.Join(parts, ", ")
}

func newSetUp(cmd *cobra.Command, flags initFlags) *setUp {
	s := &setUp{asker: newAsker(cmd.InOrStdin(), cmd.OutOrStdout(), flags.yes), flags: flags}
	s.unit = findUnit(cmd.Context(), flags.unit, flags.config)
	s.user = serviceUser(s.unit, flags.config)
	return s
}

// run asks, writes and checks.
func (s *setUp) run(ctx context.Context) (err error) {
	s.was = lookBack(s.flags.config)
	if err := s.flags.missing(s.was); err != nil {
		return err
	}
	keep, err := s.begin(ctx)
	switch {
	case err != nil:
		return err
	case keep:
		return s.finish(ctx)
	}
	defer func() {
		if !s.written {
			s.left = s.undo(ctx)
			err = errors.Join(err, s.left)
		}
	}()
	for _, part := range []func(context.Context) error{s.askGitea, s.askToken, s.askScope, s.askDocker, s.askPool, s.askWebhook} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if err := s.write(ctx); err != nil {
		return err
	}
	return s.finish(ctx)
}

// lookBack reads what is there.
func lookBack(path string) previous {
	var was previous
	was.cfg, was.fault = config.Load(path)
	if errors.Is(was.fault, fs.ErrNotExist) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			was.fault = nil
		}
	}
	if was.cfg != nil && was.cfg.Gitea == nil {
		was.cfg, was.fault = nil, errors.New("it names several servers, which scaler init does not write: edit it by hand, and look at it with scaler doctor")
	}
	was.exists = was.cfg != nil || was.fault != nil
	if was.cfg != nil {
		was.token, _ = was.cfg.Gitea.APIToken.Read() // it is asked for if it cannot be read
	}
	return was
}

// begin says what is going to happen. keep is true if the configuration that is
// there is to stay.
func (s *setUp) begin(ctx context.Context) (keep bool, err error) {
	if s.user == nil && os.Geteuid() == 0 && s.unit.loaded && s.unit.user != "" && s.unit.user != "root" {
		return false, fmt.Errorf("unit %s runs as user %s, and there is none: run useradd --system --home-dir %s --shell /usr/sbin/nologin %[2]s", s.unit.name, s.unit.user, defaultStateDir)
	}
	if s.flags.enable && !s.unit.loaded {
		return false, fmt.Errorf("there is no unit %s that runs with %s: install the package, or systemd/scaler.service of the source; or name another unit with --unit", s.unit.name, absolute(s.flags.config))
	}
	dir := filepath.Dir(absolute(s.flags.config))
	if place := nearest(dir); !mayWriteTo(place) {
		return false, fmt.Errorf("this user cannot write to %s, where %s is to be: run this as root, or name another file with --config", place, s.flags.config)
	}
	const hello = "scaler init asks what a first configuration needs, and writes %s.\n"
	if err := s.say(hello, s.flags.config); err != nil {
		return false, err
	}
	if !s.flags.yes {
		if err := s.say("Enter takes the answer in brackets, ? explains, Ctrl-C ends it with nothing written.\n"); err != nil {
			return false, err
		}
	}
	if !s.was.exists || s.flags.force {
		return false, nil
	}
	if s.flags.yes {
		return false, fmt.Errorf("%s is there already: give --force to replace it and keep a copy of it, or leave --yes away", s.flags.config)
	}
	state := "It can be used."
	if more := s.was.more(); more != "" {
		state += " It has more than is asked for here (" + more + "), which a replacement does not have."
	}
	if s.was.fault != nil {
		state = "It cannot be used: " + strings.ReplaceAll(s.was.fault.Error(), "\n", "\n  ")
	}
	if err := s.say("\n%s is there already. %s\n", s.flags.config, state); err != nil {
		return false, err
	}
	answer, err := s.ask(ctx, question{
		text: "Keep it or replace it", flag: "force", def: "keep",
		help:    "keep: the file stays, and is looked at by scaler doctor.\nreplace: the questions are asked with its answers, and a copy of it is kept.",
		options: []choice{{"keep", "leave it as it is, and look at it"}, {"replace", "go through the questions, and keep a copy of it"}},
	})
	return answer == "keep", err
}

// look runs checks, prints what they found, and says whether nothing failed.
func (s *setUp) look(ctx context.Context, checks ...doctor.Check) (good bool) {
	var view doctorView
	found := doctor.Run(ctx, checks, func(f []doctor.Finding) {
		for i := range f {
			f[i].Group = "" // there is a heading already
		}
		_ = printTo(s.out, view.lines(f))
	})
	return doctor.Count(found, doctor.ResultFailed) == 0
}

// heading begins a part.
func (s *setUp) heading(text string) error { return s.say("\n%s\n", text) }

// secretFrom reads a secret that flags name: a file, standard input or a
// variable. It is empty if none does.
func (s *setUp) secretFrom(file, variable string) (plan.Secret, error) {
	var text string
	switch {
	case variable != "":
		value, ok := os.LookupEnv(variable)
		if !ok {
			return "", fmt.Errorf("read secret: the variable %s is not set", variable)
		}
		text = value
	case file == "-":
		line, err := s.in.ReadString('\n')
		if err != nil && !(errors.Is(err, io.EOF) && line != "") {
			return "", fmt.Errorf("read secret from standard input: %w", err)
		}
		text = line
	case file != "":
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		text = string(data)
	default:
		return "", nil
	}
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("read secret from %s: it must be one line of text", strings.TrimSpace(file+" "+variable))
	}
	return plan.Secret(text), nil
}

// newClient makes a client with the answers so far.
func (s *setUp) newClient(token plan.Secret) (*gitea.Client, error) {
	return gitea.New(gitea.Options{
		URL: s.answers.InternalURL, CAFile: s.answers.CAFile, Token: func() (plan.Secret, error) { return token, nil },
		UserAgent: "scaler/" + readBuildInfo().Version, Logger: slog.New(slog.DiscardHandler),
	})
}

// newEngine makes an engine that makes nothing.
func (s *setUp) newEngine(host string) (*docker.Engine, error) {
	return docker.New(docker.Config{Host: host, Instance: doctorInstance, Timeout: engineTimeout})
}

// undo takes back what was made at Gitea for a set-up that was not written.
func (s *setUp) undo(ctx context.Context) error {
	if s.made == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shortCheck)
	defer cancel()
	if err := s.client.DropToken(ctx, s.login, s.made); err != nil {
		return fmt.Errorf("%w: delete API token %s under Settings > Applications by hand", err, s.made)
	}
	return nil
}

// mostByCPUs is how many runners there are at most unless somebody says so.
func (s *setUp) mostByCPUs() int {
	n := s.cpus
	if n == 0 {
		n = runtime.NumCPU()
	}
	return max(n, 2)
}

// absolute is a path as it is to stand in the configuration.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}
