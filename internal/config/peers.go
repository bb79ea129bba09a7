package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Peers are the daemons among which the jobs are split.
type Peers struct {
	Self     string        `yaml:"self" default:"" example:"build-1" doc:"The name of this daemon among daemons. If empty: the name of the machine, as hostname prints it, so that all can have the same file."`
	Handover time.Duration `yaml:"handover" default:"10s" min:"1s" max:"10m" doc:"How long a job waits at most for the daemon whose it is, before another one that has room takes it. The next one has its turn after half of it: that should be more than poll_interval and the time in which runners come online."`
	Daemons  []Peer        `yaml:"daemons" required:"true" example:"[{name: build-1}, {name: build-2}]" doc:"All daemons that serve the same jobs, this one among them. They are to have the same list."`
}

// Peer is one of the daemons.
type Peer struct {
	Name     string `yaml:"name" required:"true" pattern:"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$" rule:"letters and digits, with dashes, dots and underscores between them, 64 characters at most" example:"build-1" doc:"Its name, by which all of them know it."`
	Weight   int    `yaml:"weight" default:"1" min:"1" max:"1000" doc:"Its share of the jobs: with 3 it gets three for each of a daemon with 1. How many runners it may have, its pools' max, is a good choice. With instance it has to be that."`
	Instance string `yaml:"instance" default:"" pattern:"^([0-9a-f]{12})?$" rule:"12 digits and letters from a to f" example:"5ca1e4000001" doc:"The id in the names of its runners: its own instance, which its scaler status prints. With it the others see how many of its runners have a job, and it gets jobs by how many more it can take: weight less those. Empty: it gets jobs by its weight, until it leaves one waiting."`
}

// pollsInHandover is how many polls are in a handover at least: half of it has to
// be longer than a poll and the start of a runner.
const pollsInHandover = 4

// Sharing is among which daemons the jobs are split. It has no Peers if they are
// not.
func (c *Config) Sharing() plan.Sharing {
	if c.Peers == nil {
		return plan.Sharing{}
	}
	s := plan.Sharing{Self: c.Peers.Self, Handover: c.Peers.Handover}
	for _, d := range c.Peers.Daemons {
		s.Peers = append(s.Peers, plan.Peer{Name: d.Name, Weight: d.Weight, Instance: d.Instance})
	}
	return s
}

// validatePeers checks the daemons, and finds this one among them.
func validatePeers(d *decoder, c *Config) {
	const path = "peers"
	if c.Peers == nil || !d.ok(path) {
		return
	}
	p := c.Peers
	names, known := make(map[string]string), d.ok(path+".daemons")
	for i, peer := range p.Daemons {
		at := fmt.Sprintf("%s.daemons[%d]", path, i)
		d.unique(names, peer.Name, at+".name")
		known = known && d.ok(at, at+".name")
	}
	if known && len(p.Daemons) < 2 {
		d.report(path+".daemons", "name all daemons that share the jobs, two at least, or remove peers")
		return
	}
	if at := path + ".self"; known && d.ok(at) {
		d.findSelf(at, p)
	}
	d.checkInstances(path+".daemons", c)
	if at := path + ".handover"; d.ok(at, "poll_interval") && p.Handover < pollsInHandover*c.PollInterval {
		d.report(at, "%s is too short: write at least %s, which is %d times poll_interval, or others take jobs before their daemon has seen them",
			p.Handover, pollsInHandover*c.PollInterval, pollsInHandover)
	}
}

// checkInstances checks the instances of the daemons, and that of this one against
// its own. If that is made at the first start, only the running daemon knows it.
func (d *decoder) checkInstances(path string, c *Config) {
	seen := make(map[string]string)
	for i, peer := range c.Peers.Daemons {
		daemon := fmt.Sprintf("%s[%d]", path, i)
		at := daemon + ".instance"
		if peer.Instance == "" || !d.ok(daemon, at) {
			continue
		}
		first, taken := seen[peer.Instance]
		seen[peer.Instance] = at
		_, weighed := d.lines[daemon+".weight"]
		switch {
		case len(c.Servers) > 0:
			d.report(at, "remove it: with servers, the runners of each have an id of their own")
		case taken:
			d.report(at, "%q is that of %s in line %d: no two daemons have the same", peer.Instance, first, d.line(first))
		case peer.Name == c.Peers.Self && c.Instance != "" && d.ok("instance") && peer.Instance != c.Instance:
			d.report(at, "this daemon's own instance is %q, in line %d: write that", c.Instance, d.line("instance"))
		case !weighed:
			d.report(daemon, "add weight, how many runners %s may have: with instance, it is counted how many of them have no job", peer.Name)
		}
	}
}

// findSelf finds this daemon, by the name of the machine if it has no other.
func (d *decoder) findSelf(path string, p *Peers) {
	names := make([]string, 0, len(p.Daemons))
	for _, peer := range p.Daemons {
		names = append(names, peer.Name)
	}
	if p.Self != "" {
		if !slices.Contains(names, p.Self) {
			d.report(path, "%q is none of peers.daemons: add it, or use one of %s", p.Self, strings.Join(names, ", "))
		}
		return
	}
	host, err := os.Hostname()
	if err != nil {
		d.report(path, "the name of this machine is not known (%s): write which of peers.daemons this one is", err)
		return
	}
	short, _, _ := strings.Cut(host, ".")
	switch {
	case slices.Contains(names, host):
		p.Self = host
	case slices.Contains(names, short):
		p.Self = short
	default:
		d.report(path, "this machine is called %q, which is none of peers.daemons: write here which of %s this daemon is", host, strings.Join(names, ", "))
	}
}
