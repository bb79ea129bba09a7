package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

// The images that are offered where none is here, and for jobs.
const (
	runnerImage     = "gitea/runner:latest"
	runnerDindImage = "gitea/runner:latest-dind"
	jobLabel        = "ubuntu-latest:docker://docker.gitea.com/runner-images:ubuntu-latest"

	forgejoImage    = "data.forgejo.org/forgejo/runner:12"
	forgejoUser     = "0:0" // its own may not use the engine's socket
	forgejoJobLabel = "docker:docker://data.forgejo.org/oci/node:22-bookworm"
)

// askDocker finds the engine, and how containers reach Gitea.
func (s *setUp) askDocker(ctx context.Context) error {
	if err := s.heading("Docker"); err != nil {
		return err
	}
	s.answers.DockerHost = s.flags.dockerHost
	if s.answers.DockerHost == "" && s.was.cfg != nil {
		s.answers.DockerHost = s.was.cfg.Docker.Host
	}
	for {
		engine, err := s.newEngine(s.answers.DockerHost)
		if err == nil {
			good := s.lookAtEngine(ctx, engine)
			if good {
				s.gateway, _ = engine.Gateway(ctx) // it is a proposal only
				s.local, _ = engine.Names(ctx)
				if size, err := engine.Size(ctx); err == nil {
					s.cpus = int(size.MilliCPU / 1000)
				}
			}
			if err := engine.Close(); err != nil {
				return err
			}
			if good {
				return s.askRunnerURL(ctx)
			}
		} else if err := s.say("  %v\n", err); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.flags.yes {
			return errors.New("no engine can be used: see above")
		}
		answer, err := s.ask(ctx, question{text: "Docker's address, to try again", flag: "docker-host", def: "unix:///var/run/docker.sock",
			help:  "unix:///PATH for an engine on this host, tcp://HOST:PORT for another one. Without an engine there are no runners.",
			check: checkDockerHost})
		if err != nil {
			return err
		}
		s.answers.DockerHost = answer
	}
}

// checkDockerHost checks what the configuration would refuse.
func checkDockerHost(text string) error {
	if !strings.HasPrefix(text, "unix:///") && !strings.HasPrefix(text, "tcp://") {
		return errors.New("write unix:///PATH or tcp://HOST:PORT")
	}
	return nil
}

func (s *setUp) lookAtEngine(ctx context.Context, engine *docker.Engine) bool {
	e := &exam{engine: engine, user: s.user}
	return s.look(ctx, e.engineCheck())
}

// askRunnerURL asks how containers reach Gitea, where that cannot be as this
// host does.
func (s *setUp) askRunnerURL(ctx context.Context) error {
	def := s.answers.URL
	if s.was.cfg != nil && s.flags.url == "" && s.was.url() == s.answers.InternalURL {
		def = s.was.cfg.Gitea.URL
	}
	if isLoopback(urlHost(def)) {
		def = s.reachable(ctx)
	} else if s.flags.runnerURL == "" {
		s.answers.URL = def
		return nil // scaler doctor tries it from inside a container
	}
	answer, err := s.ask(ctx, question{text: "Gitea's URL for containers", flag: "runner-url", given: s.flags.runnerURL, def: def,
		help: "Inside a container, localhost is the container itself, so runners need another address of this host.\nGitea has to listen there too: HTTP_ADDR = 0.0.0.0 in the section [server] of its app.ini.",
		check: func(text string) error {
			if isLoopback(urlHost(text)) {
				return errors.New("inside a container that is the container itself: write an address of this host that containers reach")
			}
			return checkURL(text)
		}})
	s.answers.URL = strings.TrimRight(answer, "/")
	return err
}

// reachable is the URL of a Gitea on this host with the address that containers
// have for the host, if Gitea answers there.
func (s *setUp) reachable(ctx context.Context) string {
	u, err := url.Parse(s.answers.InternalURL)
	if err != nil || s.gateway == "" {
		return ""
	}
	u.Host = s.gateway
	if port := portOf(s.answers.InternalURL); port != "" {
		u.Host = net.JoinHostPort(s.gateway, port)
	}
	transport, err := gitea.NewTransport(gitea.Options{CAFile: s.answers.CAFile})
	if err != nil {
		return ""
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, probeTimeoutInside)
	defer cancel()
	if found := tryWay(ctx, transport, u.String()); found.Step != "" || found.Version == "" {
		return ""
	}
	return u.String()
}

func portOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Port()
}

// askPool asks what the runners are made from, and which jobs they take.
func (s *setUp) askPool(ctx context.Context) error {
	if err := s.heading("Runners"); err != nil {
		return err
	}
	was, _ := s.was.pool()
	a := &s.answers
	a.Pool = first(s.flags.pool, was.Name, "linux")
	a.Pull, a.Network = first(s.flags.pull, string(was.Container.Pull)), first(s.flags.network, was.Container.Network)
	a.StateDir, a.Socket = s.flags.stateDir, s.flags.socket
	if c := s.was.cfg; c != nil {
		a.StateDir, a.Socket = first(a.StateDir, c.StateDir), first(a.Socket, c.ControlSocket)
	}
	for _, path := range []*string{&a.StateDir, &a.Socket} {
		if *path != "" {
			*path = absolute(*path)
		}
	}
	for _, ask := range []func(context.Context, config.Pool) error{s.askAccess, s.askImage, s.askLabels, s.askMax} {
		if err := ask(ctx, was); err != nil {
			return err
		}
	}
	return nil
}

func (s *setUp) askAccess(ctx context.Context, was config.Pool) (err error) {
	s.answers.Access, err = s.ask(ctx, question{
		text: "How do jobs reach Docker", flag: "docker-access", given: s.flags.access, def: first(string(was.Container.DockerAccess), "none"),
		help: "Steps run in the runner's own container without it. Labels NAME:docker://IMAGE, and jobs that build images, need it.",
		options: []choice{
			{"none", "not at all; the safe way"},
			{"dind", "an engine of their own in the runner's container, which is privileged: no wall against a job that means harm"},
			{"socket", "this host's engine: whoever can push a workflow is then root on this host"},
		},
	})
	return err
}

// askImage offers what is here first.
func (s *setUp) askImage(ctx context.Context, was config.Pool) (err error) {
	def, help := runnerImage, "An image with Gitea's runner in it. gitea/runner is the official one, its tags with dind bring an engine."
	if s.answers.Access == string(config.DockerDind) {
		def = runnerDindImage
	}
	foreign := "forgejo"
	if s.can.Product == plan.ProductForgejo {
		if s.answers.User = was.Container.User; s.answers.Access == string(config.DockerSocket) {
			s.answers.User = cmp.Or(s.answers.User, forgejoUser)
		}
		def, help, foreign = forgejoImage, "An image with Forgejo's runner in it, of version 12.8 or newer. "+forgejoImage+" is the official one.", "gitea"
	}
	var options []choice
	for _, name := range s.local {
		if strings.Contains(name, "runner") && !strings.Contains(name, "runner-images") && !strings.Contains(name, foreign) && len(options) < maxOffered {
			options = append(options, choice{name, "here already"})
		}
	}
	if len(options) > 0 && !slices.Contains(s.local, def) {
		if s.answers.Access != string(config.DockerDind) {
			options, def = append(options, choice{def, "from the registry"}), options[0].value
		}
	}
	s.answers.Image, err = s.ask(ctx, question{
		text: "Image of the runners", flag: "image", given: s.flags.image, def: first(was.Image, def), options: options, other: true, help: help,
		check: func(text string) error {
			if _, err := reference.ParseNormalizedNamed(text); err != nil {
				return fmt.Errorf("that is no name of an image (%w)", err)
			}
			return nil
		},
	})
	return err
}

func (s *setUp) askLabels(ctx context.Context, was config.Pool) error {
	def := "linux:host"
	if s.answers.Access != string(config.DockerNone) {
		def = jobLabel + ", linux:host"
		if s.can.Product == plan.ProductForgejo {
			def = forgejoJobLabel + ", linux:host"
		}
	}
	if len(was.Labels) > 0 {
		var texts []string
		for _, l := range was.Labels {
			texts = append(texts, l.String())
		}
		def = strings.Join(texts, ", ")
	}
	answer, err := s.ask(ctx, question{
		text: "Labels", flag: "labels", given: s.flags.labels, def: def,
		help: "What jobs name in runs-on. NAME:host runs steps in the runner's container, NAME:docker://IMAGE in one of that image. Commas between.",
		check: func(text string) error {
			_, err := parseLabels(text, s.answers.Access)
			return err
		},
	})
	if err != nil {
		return err
	}
	s.answers.Labels, err = parseLabels(answer, s.answers.Access)
	return err
}

// parseLabels reads labels with commas between them.
func parseLabels(text, access string) ([]string, error) {
	var labels, names []string
	for part := range strings.SplitSeq(text, ",") {
		l, err := plan.ParseLabel(strings.TrimSpace(part))
		switch {
		case err != nil:
			return nil, err
		case l.Schema == "docker" && access == string(config.DockerNone):
			return nil, fmt.Errorf("label %s needs Docker, and jobs do not reach it: write %s:host, or choose dind or socket", l, l.Name)
		case slices.Contains(names, l.Name):
			return nil, fmt.Errorf("label %s is there twice", l.Name)
		}
		labels, names = append(labels, l.String()), append(names, l.Name)
	}
	return labels, nil
}

func (s *setUp) askMax(ctx context.Context, was config.Pool) error {
	def := strconv.Itoa(s.mostByCPUs())
	if was.Max > 0 {
		def = strconv.Itoa(was.Max)
	}
	answer, err := s.ask(ctx, question{
		text: "Runners at most", flag: "max", given: s.flags.max, def: def,
		help: "There are as many as jobs wait, up to this number; with no jobs there are none.",
		check: func(text string) error {
			if n, err := strconv.Atoi(text); err != nil || n < 1 {
				return errors.New("write a number from 1 on")
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	s.answers.Max, err = strconv.Atoi(answer)
	return err
}

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
